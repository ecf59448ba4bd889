"""Makes tests/data/families and tests/data/tokenizers: models of random weights of every family that Glimpse reads,
in the layout of their publishers, and what the families' own libraries make of texts and images with them.

    python -m venv /some/venv
    /some/venv/bin/pip install torch torchvision transformers open_clip_torch timm onnx onnxscript \
        onnxslim onnxruntime sentencepiece pillow numpy
    cd zarf/golden && /some/venv/bin/python -m families [FAMILY ...]

Without names it makes everything. `tokenizers` as a name makes tests/data/tokenizers.
"""
