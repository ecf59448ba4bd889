"""The time of an image and of a query with our engine and with ONNX Runtime, on one core, with models of random weights in real
sizes (a ViT-B/32 and a SigLIP 2 B/16-256), and of an image with the built-in model, which consists of convolutions.

    make bench-peers                                           # rten
    CLIP_ENGINE=onnxruntime ORT_DYLIB_PATH=… FEATURES=onnxruntime make bench-peers

CPU time, not wall time: other processes may use the machine. Five rounds, alternating; medians.
The peer runs a batch in eights, our engine in sizes of its own choice.
"""

import os
import sys
import time
from pathlib import Path
from statistics import median

import numpy
import onnxruntime
from ours import ROOT, Ours
from tokenizers import Tokenizer

ROUNDS = 5
CORE = 0
BUILT_IN = ROOT / "models/glimpse-mini-1/image.onnx"
PRECISIONS = ("fp32", "int8")
TEXTS = {"short": "a photo of a cat", "long": "a photograph of a small cat that sleeps on a red chair. " * 8}
# The speed of the peer that is to be reached, for a batch of images. The engine ONNX Runtime is the peer itself.
TARGET = {"rten": 0.95, "onnxruntime": 0.97}[os.environ.get("CLIP_ENGINE") or "rten"]


class Engine:
    """Our engine in a process of its own."""

    def __init__(self, folder, precision, threads, cores):
        self.ours = Ours("embed_peer", folder, precision, threads, cores=cores)

    def run(self, what, count, text=""):
        """CPU and wall seconds for each of `count`."""
        started = time.perf_counter()
        cpu = self.ours.run(f"{what} {count} {text}")
        return cpu / count, (time.perf_counter() - started) / count

    def vectors(self):
        """The vectors of the demo images and of the texts."""
        images = [f"image-vector {path}" for path in sorted((ROOT / "demo").glob("*.jpg"))]
        texts = [f"text-vector {text}" for text in TEXTS.values()]
        return ([numpy.array(self.ours.ask(line).split(), float) for line in lines] for lines in (images, texts))


class Peer:
    """The same model in ONNX Runtime, on one thread."""

    def __init__(self, image, text=None, tokenizer=None):
        self.image = self.session(image)
        shape = self.image.get_inputs()[0].shape
        self.pixels = numpy.random.default_rng(1).standard_normal((8, *shape[1:]), dtype=numpy.float32)
        if text:
            self.text = self.session(text)
            self.tokenizer = Tokenizer.from_file(str(tokenizer))
            # SigLIP 2 is padded to 64 tokens.
            self.tokenizer.enable_truncation(64 if self.tokenizer.padding else 77)

    @classmethod
    def of_folder(cls, folder, precision):
        suffix = {"fp32": "", "int8": "_int8"}[precision]
        image, text = (folder / "onnx" / f"{tower}_model{suffix}.onnx" for tower in ("vision", "text"))
        return cls(image, text, folder / "tokenizer.json")

    @staticmethod
    def session(path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(self, what, count, text=""):
        started, clock = time.process_time(), time.perf_counter()
        if what == "text":
            for _ in range(count):
                ids = numpy.array([self.tokenizer.encode(text).ids], dtype=numpy.int64)
                self.text.run(None, {"input_ids": ids})
        else:
            batch = 8 if what == "batch" else 1
            for _ in range(count // batch):
                self.image.run(None, {"pixel_values": self.pixels[:batch]})
        return (time.process_time() - started) / count, (time.perf_counter() - clock) / count


def busy():
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def measure(work):
    """CPU and wall ms of each: medians of rounds in turns."""
    times = {name: [] for name, _, _ in work}
    for name, side, (what, _, *text) in work:
        side.run(what, 8, *text)
    for _ in range(ROUNDS):
        for name, side, order in work:
            times[name].append(side.run(*order))
    print("CPU ms each: median (min to max), wall ms")
    for name, rounds in times.items():
        cpu, clock = ([part * 1e3 for part in parts] for parts in zip(*rounds))
        print(f"{name:42} {median(cpu):7.1f} ({min(cpu):.1f} to {max(cpu):.1f}), {median(clock):.1f}")
    cpu, clock = ({name: median(parts[at] for parts in rounds) for name, rounds in times.items()} for at in (0, 1))
    return cpu, clock


def compare_built_in():
    print(f"\nbuilt-in model, {busy()}")
    work = [("image, ours", Engine("built-in", "fp32", 1, {CORE}), ("image", 16)), ("image, peer", Peer(BUILT_IN), ("image", 16))]
    cpu, _ = measure(work)
    print(f"image: {cpu['image, peer'] / cpu['image, ours']:.2f} x the peer's speed (target: 0.8)")


def compare(folder):
    print(f"\n{folder.name}, {busy()}")
    ours = {precision: Engine(folder, precision, 1, {CORE}) for precision in PRECISIONS}
    work = []
    for precision, count in (("fp32", 8), ("int8", 16)):
        two = Engine(folder, precision, 2, set(range(os.cpu_count())))
        peer = Peer.of_folder(folder, precision)
        for what, order in (("image", "image"), ("image of a batch", "batch")):
            work += [(f"{precision} {what}, ours", ours[precision], (order, count))]
            work += [(f"{precision} {what}, peer", peer, (order, count))]
        work += [(f"{precision} image of a batch, two workers", two, ("batch", 2 * count))]
        for length, text in TEXTS.items():
            work += [(f"{precision} {length} query, ours", ours[precision], ("text", 2 * count, text))]
            work += [(f"{precision} {length} query, peer", peer, ("text", 2 * count, text))]
    cpu, clock = measure(work)
    for precision in PRECISIONS:
        for what in ("image", "image of a batch"):
            speed = cpu[f"{precision} {what}, peer"] / cpu[f"{precision} {what}, ours"]
            target = f" (target: {TARGET})" if (precision, what) == ("fp32", "image of a batch") else ""
            print(f"{precision} {what}: {speed:.2f} x the peer's speed{target}")
        one, twice = f"{precision} image of a batch, ours", f"{precision} image of a batch, two workers"
        print(f"{precision} two workers: {2 * cpu[one] / cpu[twice]:.2f} x one by CPU,", end=" ")
        print(f"{clock[one] / clock[twice]:.2f} x by wall time (target: 1.9 on two free cores)")
        for length in TEXTS:
            cost = cpu[f"{precision} {length} query, ours"] / cpu[f"{precision} {length} query, peer"]
            print(f"{precision} {length} query: {cost:.2f} x the peer's cost (target: at most 1.1)")
    for what in ("image", "image of a batch"):
        faster = cpu[f"fp32 {what}, ours"] / cpu[f"int8 {what}, ours"]
        print(f"int8 {what}: {faster:.2f} x fp32's speed (target: 2.5)")
    for what, full, small in zip(("images", "texts"), ours["fp32"].vectors(), ours["int8"].vectors()):
        lowest = min(float(a @ b) for a, b in zip(full, small))
        print(f"int8 {what}: lowest cosine to fp32 {lowest:.4f} (target: 0.99)")


def main(folders):
    os.sched_setaffinity(0, {CORE})
    compare_built_in()
    for folder in folders:
        compare(Path(folder))
    print(f"\nafter: {busy()}")


main(sys.argv[1:])
