"""Writes golden.json: what the reference makes of the texts and images, and that the exported graphs agree."""

import base64

import numpy
import onnxruntime
import torch
from PIL import Image

from .files import ROOT, write_rows
from .samples import IMAGES

MIN_COSINE = 0.99999
# The vectors of two different inputs are less similar: otherwise a tower that ignores its input would pass.
MAX_SIMILARITY = 0.995


def unit(vector):
    vector = numpy.asarray(torch.as_tensor(vector).detach(), dtype=numpy.float64).reshape(-1)
    return vector / numpy.linalg.norm(vector)


def rounded(values):
    return [round(float(value), 6) for value in values]


class Graph:
    """An exported graph, run by ONNX Runtime."""

    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(self, output, **inputs):
        types = {"tensor(float)": numpy.float32, "tensor(float16)": numpy.float16, "tensor(int64)": numpy.int64,
                 "tensor(int32)": numpy.int32, "tensor(uint8)": numpy.uint8}
        feed = {slot.name: numpy.asarray(inputs[slot.name]).astype(types[slot.type])
                for slot in self.session.get_inputs()}
        return self.session.run([output], feed)[0]


class Golden:
    def __init__(self, folder, reference, preprocessing, **more):
        self.folder = folder
        self.head = {"reference": reference, **more, "preprocessing": preprocessing}
        self.texts, self.images = [], []

    def check(self, name, vector, graph_vectors):
        """`graph_vectors`: by variant; the empty name is the graph that must agree."""
        for variant, got in graph_vectors.items():
            cosine = float(unit(got) @ vector)
            assert numpy.isfinite(cosine), (self.folder.name, variant, name)
            if not variant:
                assert cosine >= MIN_COSINE, (self.folder.name, name, cosine)
            else:
                lowest = self.head.setdefault("variants", {})
                lowest[variant] = min(lowest.get(variant, 1.0), round(cosine, 6))

    def text(self, text, ids, vector, graph_vectors, **more):
        vector = unit(vector)
        self.check(text, vector, graph_vectors)
        entry = {"text": text, **more, "ids": [int(number) for number in ids], "vector": rounded(vector)}
        self.texts.append(entry)

    def image(self, file, pixels, values, vector, graph_vectors):
        """`pixels`: height x width x RGB in 0..255 after resizing; `values`: [3, height, width], for the graph."""
        vector = unit(vector)
        self.check(file, vector, graph_vectors)
        pixels = numpy.ascontiguousarray(pixels, dtype=numpy.uint8)
        self.images.append({
            "file": file,
            "size": list(pixels.shape[:2]),
            "pixels": base64.b64encode(pixels.tobytes()).decode(),
            "first_values": rounded(numpy.asarray(values).reshape(3, -1)[:, 0]),
            "vector": rounded(vector),
        })

    def write(self):
        dimension = len(self.images[0]["vector"])
        assert all(len(entry["vector"]) == dimension for entry in self.texts + self.images)
        for kind, entries, key in (("texts", self.texts, "ids"), ("images", self.images, "pixels")):
            rows = {str(entry[key]): entry["vector"] for entry in entries}
            vectors = numpy.array(list(rows.values()))
            similarity = (vectors @ vectors.T - 2 * numpy.eye(len(vectors))).max()
            print(f"  {kind}: {len(vectors)} different, the most similar two have a cosine of {similarity:.4f}")
            assert similarity < MAX_SIMILARITY, (self.folder.name, kind, similarity)
        write_rows(self.folder / "golden.json",
                   {**self.head, "dimension": dimension, "texts": self.texts, "images": self.images})


def photos():
    """The images as RGB, with their names."""
    for file in IMAGES:
        yield file, Image.open(ROOT / file).convert("RGB")
