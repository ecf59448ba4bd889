#!/bin/sh
# Installs ONNX Runtime from PyPI into target/onnxruntime, once, and prints the path of its library. Prints nothing if python3 is
# missing or PyPI cannot be reached. PACKAGE=onnxruntime-gpu[cuda,cudnn] is the one for NVIDIA GPUs, with the libraries that it needs.
set -eu

package=${PACKAGE:-onnxruntime==1.31.1}
here=target/onnxruntime/${package%%[\[=]*}
find_library() { find "$here" -path '*/capi/libonnxruntime.*' ! -name '*.py' 2>/dev/null | head -n 1; }

if [ -z "$(find_library)" ]; then
    rm -rf "$here"
    { python3 -m venv "$here" && "$here/bin/pip" install --quiet "$package"; } >&2 || rm -rf "$here"
fi
find_library
