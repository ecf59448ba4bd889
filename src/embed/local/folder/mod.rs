//! Loads a CLIP from a folder with the layout of the hub's ONNX exports: two towers, a tokenizer and description files.
//!
//! Refuses every preparation that this code does not support, with its name. With a wrong preparation a model would
//! still return vectors, and the error would not be noticed.

mod config;
mod files;
mod json;
mod pixels;
mod preprocessor;

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;

use config::Config;
use pixels::Pixels;

use super::engine::{Engine, Onnx};
use super::tokenizer::TextTokenizer;
use super::tower::{self, Signature, Tower};
use super::towers::Towers;
use super::unusable;
use crate::embed::EmbedError;

pub use files::Precision;
pub(super) use files::{ModelFiles, list};

/// Images in one run on the CPU. Matrix products are faster with several images: a ViT-B/32 takes 52.6 ms of CPU for a single
/// image, 43.3 ms each in runs of four and 42.1 ms in runs of eight. A search waits for at most one run.
const RUN_IMAGES: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// Maximum bytes of a description file; a larger one is another kind of file.
const MAX_JSON_BYTES: u64 = 64 * 1024 * 1024;
/// Some editors write it at the start of a file; JSON does not allow it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What the description files of a model say.
pub(super) struct Description {
    config: Config,
    pixels: Pixels,
    pub(super) tokenizer: TextTokenizer,
}

impl Description {
    /// Parses `config.json`, `preprocessor_config.json` and `tokenizer.json`.
    ///
    /// # Errors
    /// A message that names the file.
    pub(super) fn parse(config: &[u8], preprocessor: &[u8], tokenizer: &[u8]) -> Result<Self, String> {
        let file = preprocessor::OLD_FILE;
        let pixels = json::object(preprocessor).and_then(|values| Pixels::read(&values));
        Self::new(Config::parse(config)?, pixels.map_err(|reason| format!("{file}: {reason}"))?, file, tokenizer)
    }

    /// `pixels_file` is the name of the file with `pixels`.
    fn new(config: Config, pixels: Pixels, pixels_file: &str, tokenizer: &[u8]) -> Result<Self, String> {
        if let Some(size) = config.image_size.filter(|size| *size != u64::from(pixels.size)) {
            let other = pixels.size;
            return Err(format!(
                "image_size in config.json is {size}, but the image size in {pixels_file} is {other}; both must be the \
                 same"
            ));
        }
        let tokenizer = TextTokenizer::parse(tokenizer, config.max_tokens)?;
        Ok(Self { config, pixels, tokenizer })
    }

    /// Adds the networks, and the number of images in one run of the image tower.
    pub(super) fn into_towers(self, name: String, image: Tower, text: Tower, run: NonZeroUsize) -> Towers {
        Towers {
            name,
            dimension: self.config.dimension,
            size: self.pixels.size,
            levels: self.pixels.levels(),
            run,
            image,
            text,
            tokenizer: self.tokenizer,
        }
    }
}

/// Loads the model in `folder`; `name` is the name of its space.
pub(super) fn load(folder: &Path, name: String, precision: Precision, engine: &Engine) -> Result<Towers, EmbedError> {
    let error_of = |reason: String| unusable(format!("the model in {}: {reason}", folder.display()));
    if !folder.is_dir() {
        return Err(error_of("it does not exist; set CLIP_MODEL to a folder with a CLIP exported to ONNX".to_owned()));
    }
    let names = list(folder).map_err(|error| error_of(error.to_string()))?;
    let files = ModelFiles::find(&names, precision).map_err(error_of)?;
    if files.precision != precision {
        tracing::info!(
            image = files.image,
            text = files.text,
            "there are no {precision} files; the {} files are used",
            files.precision
        );
    }
    let read = |name: &str| read_json(&folder.join(name)).map_err(|error| error_of(format!("{name}: {error}")));
    let config = Config::parse(&read(&files.config)?).map_err(error_of)?;
    let pixels = preprocessor::pixels(folder, &files.preprocessors).map_err(error_of)?;
    let tokenizer = read(&files.tokenizer)?;
    let description =
        Description::new(config, pixels, &files.preprocessors.join(" or "), &tokenizer).map_err(error_of)?;
    let tower = |file: &str, signature: &Signature| {
        let network = engine.load(Onnx::File(folder.join(file)));
        let tower = network.and_then(|network| Tower::new(network, signature));
        tower.map_err(|reason| error_of(format!("{file}: {reason}")))
    };
    let run = match files.precision {
        Precision::Fp32 | Precision::Fp16 => engine.images_per_run(RUN_IMAGES),
        // Activations are scaled to 8 bits by their range in the run. With several images in a run, the vector of an
        // image would depend on the others (a cosine of 0.9988 was measured), for a fifth less CPU.
        Precision::Int8 => NonZeroUsize::MIN,
    };
    Ok(description.into_towers(name, tower(&files.image, &tower::IMAGE)?, tower(&files.text, &tower::TEXT)?, run))
}

fn read_json(path: &Path) -> io::Result<Vec<u8>> {
    let size = path.metadata()?.len();
    if size > MAX_JSON_BYTES {
        return Err(io::Error::other(format!("it has {size} bytes; the limit is {MAX_JSON_BYTES}")));
    }
    let mut bytes = std::fs::read(path)?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

#[cfg(test)]
mod repositories_tests;
