//! Files of the built-in model. They are part of the binary, so that it runs in any folder and without a network.

pub(super) static CARD: &[u8] = include_bytes!("../../../models/glimpse-mini-1/model.json");
pub(super) static TOKENIZER: &[u8] = include_bytes!("../../../models/glimpse-mini-1/tokenizer.json");
pub(super) static IMAGE: &[u8] = include_bytes!("../../../models/glimpse-mini-1/image.onnx");
pub(super) static TEXT: &[u8] = include_bytes!("../../../models/glimpse-mini-1/text.onnx");
