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

use super::bpe::Bpe;
use super::tower::Tower;
use super::towers::{Tokenizer, Towers};
use super::unusable;
use crate::embed::EmbedError;

pub use files::Precision;
pub(super) use files::{Wanted, list};

/// Images in one run. Matrix products are faster with several images: a ViT-B/32 takes 52.6 ms of CPU for a single
/// image, 43.3 ms each in runs of four and 42.1 ms in runs of eight. A search waits for at most one run.
const RUN_IMAGES: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// Maximum bytes of a description file; a larger one is another kind of file.
const MAX_JSON_BYTES: u64 = 64 * 1024 * 1024;
/// Some editors write it at the start of a file; JSON does not allow it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Loads the model in `folder`; `name` is the name of its space.
pub(super) fn load(folder: &Path, name: String, precision: Precision) -> Result<Towers, EmbedError> {
    let error_of = |reason: String| unusable(format!("the model in {}: {reason}", folder.display()));
    if !folder.is_dir() {
        return Err(error_of("it does not exist; set CLIP_MODEL to a folder with a CLIP exported to ONNX".to_owned()));
    }
    let names = list(folder).map_err(|error| error_of(error.to_string()))?;
    let wanted = Wanted::among(&names, precision).map_err(error_of)?;
    if wanted.precision != precision {
        tracing::info!(
            image = wanted.image,
            text = wanted.text,
            "there are no {precision} files; the {} files are used",
            wanted.precision
        );
    }
    let read = |name: &str| read_json(&folder.join(name)).map_err(|error| error_of(format!("{name}: {error}")));
    let config = config::Config::parse(&read(&wanted.config)?).map_err(error_of)?;
    let pixels = preprocessor::pixels(folder, &wanted.preprocessors).map_err(error_of)?;
    if let Some(size) = config.image_size.filter(|size| *size != u64::from(pixels.size)) {
        let (other, file) = (pixels.size, wanted.preprocessors.join(" or "));
        return Err(error_of(format!(
            "image_size in config.json is {size}, but the image size in {file} is {other}; both must be the same"
        )));
    }
    let bpe = Bpe::parse(&read(&wanted.tokenizer)?, config.max_tokens).map_err(error_of)?;
    let tower = |file: &str, inputs: &[&str], output| {
        Tower::from_file(&folder.join(file), inputs, output).map_err(|reason| error_of(format!("{file}: {reason}")))
    };
    Ok(Towers {
        image: tower(&wanted.image, &["pixel_values"], "image_embeds")?,
        text: tower(&wanted.text, &["input_ids", "attention_mask"], "text_embeds")?,
        tokenizer: Tokenizer::Bpe(Box::new(bpe)),
        levels: pixels.levels(),
        size: pixels.size,
        run: match wanted.precision {
            Precision::Fp32 | Precision::Fp16 => RUN_IMAGES,
            // Activations are scaled to 8 bits by their range in the run. With several images in a run, the vector of
            // an image would depend on the others (a cosine of 0.9988 was measured), for a fifth less CPU.
            Precision::Int8 => NonZeroUsize::MIN,
        },
        dimension: config.dimension,
        name,
    })
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
