"""Draws vectors like those of the built-in model, for the benchmark `nearest` and its peers.

    target/peers/bin/python zarf/peers/vectors.py OUT COUNT CORPUS

CORPUS is a folder with `images/` and `captions.json` (file name to captions), such as the test set of Flickr8k. The vectors have
the mean and the covariance of its images, and each is near one of them:

    x = mean + 0.7 (image - mean) + sqrt(1 - 0.49) noise, with the covariance of the images; then of length 1

The seeds are fixed. OUT gets `vectors.f32` (COUNT x 512), `texts.f32` (captions) and `images.f32` (images), all little-endian.
"""

import json
import sys
from pathlib import Path

import numpy
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer

MODEL = Path(__file__).parents[2] / "models/glimpse-mini-1"
SIDE = 260
# The mean and the deviation of the model's pixels, and the length of its texts.
MEAN, DEVIATION, TOKENS = 0.4980392, 0.5019608, 64
QUERIES = 1000
NEARNESS = 0.7
BATCH = 50_000


def session(tower):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(MODEL / f"{tower}.onnx", options, providers=["CPUExecutionProvider"])


def units(vectors):
    vectors = numpy.array(vectors, dtype=numpy.float32)
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def pixels(file):
    image = Image.open(file).convert("RGB")
    scale = SIDE / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BICUBIC)
    left, top = ((side - SIDE) // 2 for side in image.size)
    image = numpy.asarray(image.crop((left, top, left + SIDE, top + SIDE)), dtype=numpy.float32) / 255
    return ((image - MEAN) / DEVIATION).transpose(2, 0, 1)[None]


def image_vectors(corpus):
    tower = session("image")
    return units([tower.run(None, {"pixel_values": pixels(file)})[0][0] for file in sorted(corpus.glob("images/*"))])


def text_vectors(corpus, random):
    tower, tokenizer = session("text"), Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    captions = [caption for all in json.loads((corpus / "captions.json").read_text()).values() for caption in all]
    vectors = []
    for at in random.choice(len(captions), QUERIES, replace=False):
        ids = numpy.array([tokenizer.encode(captions[at]).ids], dtype=numpy.int64)
        vectors.append(tower.run(None, {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})[0][0])
    return units(vectors)


def draw(images, count, random):
    mean = images.mean(axis=0)
    covariance = numpy.cov(images.T.astype(numpy.float64))
    # A thousand images do not determine all of it; a twentieth is spread evenly.
    size = len(covariance)
    covariance = 0.95 * covariance + 0.05 * numpy.trace(covariance) / size * numpy.eye(size)
    factor = numpy.linalg.cholesky(covariance).astype(numpy.float32)
    spread = numpy.float32((1 - NEARNESS**2) ** 0.5)
    for first in range(0, count, BATCH):
        size = min(BATCH, count - first)
        noise = random.standard_normal((size, len(mean)), dtype=numpy.float32) @ factor.T
        near = images[random.integers(0, len(images), size)] - mean
        yield units(mean + numpy.float32(NEARNESS) * near + spread * noise)


def main(out, count, corpus):
    out.mkdir(parents=True, exist_ok=True)
    images = image_vectors(corpus)
    images.tofile(out / "images.f32")
    text_vectors(corpus, numpy.random.default_rng(5)).tofile(out / "texts.f32")
    with open(out / "vectors.f32", "wb") as file:
        for vectors in draw(images, count, numpy.random.default_rng(7)):
            file.write(vectors.tobytes())


main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
