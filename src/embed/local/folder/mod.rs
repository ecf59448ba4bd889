//! A CLIP in a folder, as the hub's exports to ONNX lie there: two towers, a tokenizer and three descriptions.
//!
//! Everything that this code does not do is refused by name: a model that is fed otherwise than it was trained gives
//! vectors too, and nobody would notice.

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

/// Images in one run. Matrix products gain from company: a ViT-B/32 takes 52.6 ms of CPU for an image alone, 43.3 each in
/// runs of four and 42.1 in runs of eight, and a search waits for one run at most.
const RUN: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// Descriptions are small; whatever is larger is something else.
const MAX_JSON: u64 = 64 * 1024 * 1024;
/// Some editors begin a text with it; JSON has no place for it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Loads the model in `folder`; `name` is what its space is called.
pub(super) fn load(folder: &Path, name: String, precision: Precision) -> Result<Towers, EmbedError> {
    let of = |reason: String| unusable(format!("the model in {}: {reason}", folder.display()));
    if !folder.is_dir() {
        return Err(of("there is no such folder; set CLIP_MODEL to a folder with a CLIP exported to ONNX".to_owned()));
    }
    let names = list(folder).map_err(|error| of(error.to_string()))?;
    let wanted = Wanted::among(&names, precision).map_err(of)?;
    if wanted.precision != precision {
        tracing::info!(
            image = wanted.image,
            text = wanted.text,
            "there are no {precision} files: those of {} are used",
            wanted.precision
        );
    }
    let read = |name: &str| read_json(&folder.join(name)).map_err(|error| of(format!("{name}: {error}")));
    let config = config::Config::parse(&read(&wanted.config)?).map_err(of)?;
    let pixels = preprocessor::pixels(folder, &wanted.preprocessors).map_err(of)?;
    if let Some(size) = config.image_size.filter(|size| *size != u64::from(pixels.size)) {
        let (other, file) = (pixels.size, wanted.preprocessors.join(" or "));
        return Err(of(format!(
            "config.json says that image_size is {size}, but by {file} images have {other} pixels"
        )));
    }
    let words = Bpe::parse(&read(&wanted.tokenizer)?, config.max_tokens).map_err(of)?;
    let tower = |file: &str, inputs: &[&str], output| {
        Tower::of_file(&folder.join(file), inputs, output).map_err(|reason| of(format!("{file}: {reason}")))
    };
    Ok(Towers {
        image: tower(&wanted.image, &["pixel_values"], "image_embeds")?,
        text: tower(&wanted.text, &["input_ids", "attention_mask"], "text_embeds")?,
        tokenizer: Tokenizer::Bpe(Box::new(words)),
        levels: pixels.levels(),
        size: pixels.size,
        run: match wanted.precision {
            Precision::Fp32 | Precision::Fp16 => RUN,
            // Activations are brought to 8 bits by the range that they have in the run: in company an image would have
            // another vector with each company (a cosine of 0.9988 was seen), for a fifth less CPU.
            Precision::Int8 => NonZeroUsize::MIN,
        },
        dimension: config.dimension,
        name,
    })
}

fn read_json(path: &Path) -> io::Result<Vec<u8>> {
    let size = path.metadata()?.len();
    if size > MAX_JSON {
        return Err(io::Error::other(format!("{size} bytes are too many for such a file")));
    }
    let mut bytes = std::fs::read(path)?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

#[cfg(test)]
mod repositories_tests;
