"""The time of an image and of a query with our engine and with ONNX Runtime, on one core, with a ViT-B/32 of random weights,
and of an image with the built-in model, which consists of convolutions.

    make bench-peers

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
TEXTS = {"short": "a photo of a cat", "long": "a photograph of a small cat that sleeps on a red chair. " * 8}


class Engine:
    """Our engine in a process of its own."""

    def __init__(self, folder, precision, threads, cores):
        self.ours = Ours("embed_peer", folder, precision, threads, cores=cores)

    def run(self, what, count, text=""):
        """CPU and wall seconds for each of `count`."""
        started = time.perf_counter()
        cpu = self.ours.run(f"{what} {count} {text}")
        return cpu / count, (time.perf_counter() - started) / count


def session(path):
    """ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class BuiltInPeer:
    """The image tower of the built-in model in ONNX Runtime."""

    def __init__(self):
        self.image = session(ROOT / "models/glimpse-mini-1/image.onnx")
        self.pixels = numpy.random.default_rng(1).standard_normal((1, 3, 260, 260), dtype=numpy.float32)

    def run(self, what, count):
        started, clock = time.process_time(), time.perf_counter()
        for _ in range(count):
            self.image.run(None, {"pixel_values": self.pixels})
        return (time.process_time() - started) / count, (time.perf_counter() - clock) / count


class Peer:
    """A ViT-B/32 in ONNX Runtime."""

    def __init__(self, folder, precision):
        suffix = {"fp32": "", "int8": "_int8"}[precision]
        self.image, self.text = (
            session(folder / "onnx" / f"{tower}_model{suffix}.onnx") for tower in ("vision", "text")
        )
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(77)
        self.pixels = numpy.random.default_rng(1).standard_normal((8, 3, 224, 224), dtype=numpy.float32)

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


def main(folder):
    folder = Path(folder)
    print(f"before: {busy()}")
    cores = set(range(os.cpu_count()))
    ours = {precision: Engine(folder, precision, 1, {CORE}) for precision in ("fp32", "int8")}
    two = {precision: Engine(folder, precision, 2, cores) for precision in ("fp32", "int8")}
    built_in = Engine("built-in", "fp32", 1, {CORE})
    os.sched_setaffinity(0, {CORE})
    peers = {precision: Peer(folder, precision) for precision in ("fp32", "int8")}
    work = [("built-in image, ours", built_in, ("image", 16)), ("built-in image, peer", BuiltInPeer(), ("image", 16))]
    for precision, count in (("fp32", 16), ("int8", 32)):
        work += [(f"{precision} image, ours", ours[precision], ("image", count))]
        work += [(f"{precision} image, peer", peers[precision], ("image", count))]
        work += [(f"{precision} image of a batch, ours", ours[precision], ("batch", count))]
        work += [(f"{precision} image of a batch, peer", peers[precision], ("batch", count))]
        work += [(f"{precision} image of a batch, ours, two workers", two[precision], ("batch", 2 * count))]
        for length, text in TEXTS.items():
            work += [(f"{precision} {length} query, ours", ours[precision], ("text", count * 2, text))]
            work += [(f"{precision} {length} query, peer", peers[precision], ("text", count * 2, text))]
    times = {name: [] for name, _, _ in work}
    for name, side, (what, _, *text) in work:
        side.run(what, 8, *text)
    for _ in range(ROUNDS):
        for name, side, order in work:
            times[name].append(side.run(*order))
    print(f"after: {busy()}\n\nCPU ms each: median (min to max), wall ms")
    cpu = {name: median(cpu for cpu, _ in rounds) for name, rounds in times.items()}
    clock = {name: median(clock for _, clock in rounds) for name, rounds in times.items()}
    for name, rounds in times.items():
        least, most = min(cpu for cpu, _ in rounds), max(cpu for cpu, _ in rounds)
        print(f"{name:46} {cpu[name] * 1e3:7.1f} ({least * 1e3:.1f} to {most * 1e3:.1f}), {clock[name] * 1e3:.1f}")
    print("\nratios")
    speed = cpu["built-in image, peer"] / cpu["built-in image, ours"]
    print(f"built-in image: {speed:.2f} x the peer's speed (target: 0.8)")
    for precision in ("fp32", "int8"):
        for what in ("image", "image of a batch"):
            speed = cpu[f"{precision} {what}, peer"] / cpu[f"{precision} {what}, ours"]
            print(f"{precision} {what}: {speed:.2f} x the peer's speed", "(target: 0.9)" if precision == "fp32" else "")
        one = f"{precision} image of a batch, ours"
        twice = f"{one}, two workers"
        print(f"{precision} two workers: {2 * cpu[one] / cpu[twice]:.2f} x one by CPU,", end=" ")
        print(f"{clock[one] / clock[twice]:.2f} x by wall time (target: 1.9 on two free cores)")
        for length in TEXTS:
            cost = cpu[f"{precision} {length} query, ours"] / cpu[f"{precision} {length} query, peer"]
            print(f"{precision} {length} query: {cost:.2f} x the peer's cost (target: at most 1.1)")
    for what in ("image", "image of a batch"):
        faster = cpu[f"fp32 {what}, ours"] / cpu[f"int8 {what}, ours"]
        print(f"int8 {what}: {faster:.2f} x fp32's speed (target: 2)")


main(sys.argv[1])
