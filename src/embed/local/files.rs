//! The model's files, inside the binary, so that it runs from any folder and without a network.

pub(super) static CARD: &[u8] = include_bytes!("../../../models/glimpse-mini-1/model.json");
pub(super) static TOKENIZER: &[u8] = include_bytes!("../../../models/glimpse-mini-1/tokenizer.json");
pub(super) static IMAGE: &[u8] = include_bytes!("../../../models/glimpse-mini-1/image.onnx");
pub(super) static TEXT: &[u8] = include_bytes!("../../../models/glimpse-mini-1/text.onnx");
