//! The JSON files that describe one tower.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use super::json::{given, object};
use super::text::Algorithm;

/// Maximum bytes of a description file; a larger one is another kind of file.
const MAX_JSON_BYTES: u64 = 64 * 1024 * 1024;
/// Some editors write it at the start of a file; JSON does not allow it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Names of the files that are read, if a model has them.
pub(super) const NAMES: [&str; 9] = [
    CONFIG,
    PROCESSOR,
    PREPROCESSOR,
    PREPROCESS_CFG,
    OPEN_CLIP_CONFIG,
    MODEL_CONFIG,
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    POOLING,
];
pub(super) const CONFIG: &str = "config.json";
/// The image processor since transformers 5, in its object `image_processor`.
pub(super) const PROCESSOR: &str = "processor_config.json";
/// The image processor of transformers 4.
pub(super) const PREPROCESSOR: &str = "preprocessor_config.json";
/// The image preparation in exports of immich.
pub(super) const PREPROCESS_CFG: &str = "preprocess_cfg.json";
pub(super) const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";
/// Facts about a text tower in exports of OpenCLIP.
pub(super) const MODEL_CONFIG: &str = "model_config.json";
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// How sentence-transformers makes a vector of rows.
pub(super) const POOLING: &str = "1_Pooling/config.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";

/// The parsed files.
#[derive(Debug, Default)]
pub(crate) struct Descriptions {
    /// By name without folder, except for [`POOLING`].
    files: HashMap<String, Map<String, Value>>,
    /// What `tokenizer.json` says, if it was read.
    algorithm: Option<Algorithm>,
}

impl Descriptions {
    /// Parses the files, each with its path.
    ///
    /// # Errors
    /// A message that begins with the path of the file.
    pub(crate) fn parse(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, String> {
        let parse = |(path, bytes): (String, Vec<u8>)| {
            let values = object(&bytes).map_err(|reason| format!("{path}: {reason}"))?;
            let name = if path.ends_with(POOLING) { POOLING } else { path.rsplit('/').next().unwrap_or_default() };
            Ok((name.to_owned(), values))
        };
        let files = files.into_iter().map(parse).collect::<Result<_, String>>()?;
        Ok(Self { files, algorithm: None })
    }

    /// Adds what the `tokenizer.json` of the tower says.
    ///
    /// # Errors
    /// A message if it is not the file of a tokenizer.
    pub(crate) fn with_tokenizer(self, json: &[u8]) -> Result<Self, String> {
        let algorithm = Algorithm::read(json).map_err(|reason| format!("{TOKENIZER}: {reason}"))?;
        Ok(Self { algorithm: Some(algorithm), ..self })
    }

    /// Returns the algorithm of the tokenizer, if its file was read.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    pub(super) fn get(&self, name: &str) -> Option<&Map<String, Value>> {
        self.files.get(name)
    }

    /// Returns an object within a file.
    pub(super) fn nested(&self, name: &str, key: &str) -> Option<&Map<String, Value>> {
        given(self.get(name)?, key)?.as_object()
    }

    /// Returns a text of `tokenizer_config.json` or of `special_tokens_map.json`. A token may be an object.
    pub(super) fn token(&self, key: &str) -> Option<&str> {
        [TOKENIZER_CONFIG, "special_tokens_map.json"].into_iter().find_map(|file| {
            let value = given(self.get(file)?, key)?;
            value.as_str().or_else(|| value.get("content")?.as_str())
        })
    }
}

/// Reads a description file.
pub(crate) fn read_json(path: &Path) -> io::Result<Vec<u8>> {
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
