#!/bin/sh
# Tests the engine ONNX Runtime on the CPU, with its library from PyPI: `make test-onnxruntime`. Prints the reason and succeeds if the
# library cannot be had.
set -eu
cd "$(dirname "$0")/../.."

library=${ORT_DYLIB_PATH:-$(zarf/onnxruntime/install.sh)}
if [ -z "$library" ]; then
    echo "skipped: set ORT_DYLIB_PATH to the library of ONNX Runtime, or install python3 and allow PyPI"
    exit 0
fi
# Compiles only this crate again. Without a library first: a process loads one only once.
ORT_DYLIB_PATH='' "${CARGO:-cargo}" test --locked --features onnxruntime --lib embed::local::engine::
ORT_DYLIB_PATH=$library "${CARGO:-cargo}" test --locked --features onnxruntime --lib embed::local::
