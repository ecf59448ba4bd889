//! What `tokenizer.json` says about the family of its model.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::models::lfs_pointer;

/// The algorithm of a tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) enum Algorithm {
    /// Byte-pair encoding.
    Bpe,
    Unigram,
    WordPiece,
    /// Another one, or one that the file does not name.
    Other,
}

/// The parts of the file that are read. The vocabulary is not one of them; it may have 30 MB.
#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    r#type: Option<String>,
    /// Files from before the tokenizers 0.10 have no `type`.
    merges: Option<IgnoredAny>,
    unk_id: Option<IgnoredAny>,
}

impl Algorithm {
    /// Reads it from the bytes of a `tokenizer.json`.
    ///
    /// # Errors
    /// A message if the file is not one of a tokenizer.
    pub(in crate::models) fn read(json: &[u8]) -> Result<Self, String> {
        lfs_pointer::refuse(json)?;
        let File { model } = serde_json::from_slice(json).map_err(|error| format!("it is not a tokenizer: {error}"))?;
        Ok(match (model.r#type.as_deref(), model.merges, model.unk_id) {
            (Some("BPE"), ..) | (None, Some(_), _) => Self::Bpe,
            (Some("Unigram"), ..) | (None, None, Some(_)) => Self::Unigram,
            (Some("WordPiece"), ..) => Self::WordPiece,
            _ => Self::Other,
        })
    }

    /// Returns the name of the algorithm for errors.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bpe => "BPE",
            Self::Unigram => "Unigram",
            Self::WordPiece => "WordPiece",
            Self::Other => "of another kind",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_is_read_with_and_without_its_name() {
        for (json, expected) in [
            (r#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#, Algorithm::Bpe),
            (r#"{"model":{"vocab":{"a":0},"merges":["a b"]}}"#, Algorithm::Bpe),
            (r#"{"model":{"type":"Unigram","unk_id":2,"vocab":[["a",0.0]]}}"#, Algorithm::Unigram),
            (r#"{"model":{"unk_id":2,"vocab":[["a",0.0]]}}"#, Algorithm::Unigram),
            (r#"{"model":{"type":"WordPiece","vocab":{"a":0}}}"#, Algorithm::WordPiece),
            (r#"{"model":{"type":"WordLevel","vocab":{"a":0}}}"#, Algorithm::Other),
        ] {
            assert_eq!(Algorithm::read(json.as_bytes()), Ok(expected), "{json}");
        }
        assert!(Algorithm::read(b"{}").unwrap_err().contains("not a tokenizer"));
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
        assert!(Algorithm::read(pointer).unwrap_err().contains("git lfs pull"));
    }
}
