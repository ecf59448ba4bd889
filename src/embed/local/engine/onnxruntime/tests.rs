//! The library that cannot be used, and the runs of a session. Sessions need a library: see `engine::available`.

use std::path::PathBuf;

use rten_tensor::Tensor;
use rten_tensor::prelude::*;

use super::*;
use crate::embed::local::engine::{Input, available};

fn error(library: Option<&str>, device: Device) -> String {
    check(library.map(Path::new), device).unwrap_err().to_string()
}

#[test]
fn a_library_that_cannot_be_used_is_an_error_that_says_what_to_install() {
    let missing = error(Some("/nowhere/libonnxruntime.so"), Device::Cuda(0));
    assert!(missing.contains("ORT_DYLIB_PATH is `/nowhere/libonnxruntime.so`"), "{missing}");
    assert!(missing.contains("pip install onnxruntime-gpu[cuda,cudnn]`") && missing.contains("capi"), "{missing}");
    let folder = error(Some(env!("CARGO_MANIFEST_DIR")), Device::Cpu);
    assert!(folder.contains("is a folder") && folder.contains("`pip install onnxruntime`"), "{folder}");
}

/// A process loads only one library, so that this is tested only if no other test has loaded one.
#[test]
fn another_file_is_not_the_library() {
    if available().len() > 1 {
        return;
    }
    let text = error(Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), Device::Cpu);
    assert!(text.contains("cannot be loaded"), "{text}");
    let none = error(None, Device::Cpu);
    assert!(none.contains("ORT_DYLIB_PATH is not set"), "{none}");
}

#[test]
fn a_device_that_the_library_was_built_without_is_an_error() {
    let Some(library) = library() else { return };
    let error = check(Some(&library), Device::CoreMl).unwrap_err().to_string();
    assert!(error.contains("CLIP_DEVICE is `coreml`") && error.contains("has no CoreML"), "{error}");
}

/// The way of a GPU, with bindings, must give the same vectors. It is tested on the CPU.
#[test]
fn shared_and_exclusive_runs_are_equal() {
    let Some(path) = library() else { return };
    let onnx =
        || Onnx::File(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/clip-tiny/onnx/vision_model.onnx").into());
    let library = open(Some(&path), Device::Cpu).unwrap();
    let network = |device| OrtNetwork::new(session::start(library, Device::Cpu, &onnx()).unwrap(), device).unwrap();
    let (shared, exclusive) = (network(Device::Cpu), network(Device::Cuda(0)));
    let output = shared.outputs()[0].name.clone();
    let run = |network: &OrtNetwork, images: usize| {
        let pixels = (0..images * 3 * 32 * 32).map(|at| f32::from(u8::try_from(at * 7 % 251).unwrap()) / 251.0);
        let pixels = Tensor::from_data(&[images, 3, 32, 32], pixels.collect::<Vec<_>>());
        network.run(vec![("pixel_values", Input::F32(pixels))], &output).unwrap()
    };
    std::thread::scope(|scope| {
        for images in [1, 3, 8] {
            let (shared, exclusive) = (&shared, &exclusive);
            scope.spawn(move || {
                let (ours, theirs) = (run(shared, images), run(exclusive, images));
                assert_eq!(ours.shape()[0], images);
                assert_eq!((ours.shape(), ours.to_vec()), (theirs.shape(), theirs.to_vec()));
            });
        }
    });
    let wrong = vec![("pixel_values", Input::F32(Tensor::zeros(&[1, 3, 5, 5])))];
    assert!(matches!(shared.run(wrong, &output), Err(crate::embed::EmbedError::Rejected(_))));
}

fn library() -> Option<PathBuf> {
    available().len().gt(&1).then(|| std::env::var_os("ORT_DYLIB_PATH").unwrap_or_default().into())
}
