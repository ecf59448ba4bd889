//! Precision of the numbers of the networks.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::setting::keyword;

/// Precision of the numbers of the networks (`CLIP_PRECISION`). Another precision gives another space, which the probes
/// detect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Precision {
    /// The first of `Fp32`, `Fp16`, `Int8` and `Q4` of which the model has files.
    #[default]
    Auto,
    /// 32 bits, as in the training of the model. A model that has only 16 bits is used with those.
    Fp32,
    /// Weights in 16 bits, computed in 32 bits: half the download, but the speed and memory of `Fp32`.
    Fp16,
    /// Weights and most sums in 8 bits: two to three times as fast, a third of the memory.
    Int8,
    /// Weights of matrix products in 4 bits with a scale for each block, computed in 32 bits: a small download.
    Q4,
}

impl Precision {
    /// The precisions of files.
    pub(crate) const OF_FILES: [Self; 4] = [Self::Fp32, Self::Fp16, Self::Int8, Self::Q4];

    /// Returns the suffixes in the names of files of this precision, before `.onnx`; the better export first.
    pub(crate) fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Auto => &[],
            Self::Fp32 => &[""],
            Self::Fp16 => &["_fp16"],
            Self::Int8 => &["_int8", "_quantized"],
            Self::Q4 => &["_q4", "_q4f16"],
        }
    }

    /// Returns the precisions of files that this one accepts; the preferred first.
    pub(crate) fn accepted(self) -> &'static [Self] {
        match self {
            Self::Auto => &Self::OF_FILES,
            Self::Fp32 => &[Self::Fp32, Self::Fp16],
            Self::Fp16 => &[Self::Fp16],
            Self::Int8 => &[Self::Int8],
            Self::Q4 => &[Self::Q4],
        }
    }
}

impl TryFrom<String> for Precision {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match keyword(&name).as_str() {
            "auto" => Ok(Self::Auto),
            "fp32" => Ok(Self::Fp32),
            "fp16" => Ok(Self::Fp16),
            "int8" => Ok(Self::Int8),
            "q4" => Ok(Self::Q4),
            _ => Err("it must be `auto`, `fp32`, `fp16`, `int8` or `q4`"),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
            Self::Q4 => "q4",
        })
    }
}
