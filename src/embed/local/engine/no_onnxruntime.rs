//! What a binary without the cargo feature `onnxruntime` has in place of this engine.

use std::path::Path;
use std::sync::Arc;

use super::{Device, EngineError, Network, Onnx};

pub(super) fn check(_: Option<&Path>, _: Device) -> Result<String, EngineError> {
    Err(missing())
}

pub(super) fn load(_: Option<&Path>, _: Device, _: Onnx) -> Result<Arc<dyn Network>, String> {
    Err(missing().to_string())
}

/// The settings are validated at the start, and give the same error there.
pub(super) fn missing() -> EngineError {
    EngineError {
        problem: "CLIP_ENGINE is `onnxruntime`, but this binary was built without ONNX Runtime".to_owned(),
        advice: "build it with `cargo build --release --locked --features onnxruntime`, or set CLIP_ENGINE=rten"
            .to_owned(),
    }
}
