#!/usr/bin/env python3
"""Compares indexes of faiss and usearch on the vectors that vectors.py made: build time, memory, recall@10 and the median
time of a search on one thread, for texts and images. benches/nearest.rs measures the embedded store on the same files.

    pip install faiss-cpu usearch numpy
    nearest.py DATA [hnsw] [ivfpq] [usearch]
"""

import gc
import os
import sys
import time
from pathlib import Path

import faiss
import numpy as np
from usearch.index import Index

LENGTH = 512
QUERIES = 100
LIMIT = 10
# The greatest recall that is of interest: a higher effort is not measured.
ENOUGH = 0.9955
CORES = os.cpu_count()


def read(path: Path) -> np.ndarray:
    return np.memmap(path, dtype=np.float32).reshape(-1, LENGTH)


def resident() -> float:
    """Returns the memory of the process without mapped files, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1e3
    return 0.0


def exact(vectors: np.ndarray, queries: np.ndarray) -> list[set[int]]:
    best = [np.empty((len(queries), 0))] * 2
    scores, ids = best
    for first in range(0, len(vectors), 100_000):
        part = vectors[first : first + 100_000]
        scores = np.hstack([scores, queries @ part.T])
        ids = np.hstack([ids, np.broadcast_to(np.arange(first, first + len(part)), (len(queries), len(part)))])
        order = np.argsort(-scores, axis=1)[:, :LIMIT]
        scores, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
    return [set(row.astype(int)) for row in ids]


def measure(search, queries: np.ndarray, expected: list[set[int]]) -> tuple[float, float]:
    """Returns the recall and the median time in ms."""
    for query in queries[:5]:
        search(query[None])
    hits, times = 0, []
    for query, best in zip(queries, expected):
        start = time.perf_counter()
        found = search(query[None])
        times.append(time.perf_counter() - start)
        hits += len(best & set(int(i) for i in found))
    return hits / (LIMIT * len(queries)), float(np.median(times) * 1e3)


def report(name: str, efforts, set_effort, search, kinds: dict) -> None:
    for kind, (queries, expected) in kinds.items():
        for effort in efforts:
            set_effort(effort)
            recall, ms = measure(search, queries, expected)
            print(f"{name}, {kind}, effort {effort}: recall {recall:.3f}, p50 {ms:.2f} ms", flush=True)
            if recall >= ENOUGH:
                break


def add_all(vectors: np.ndarray, add) -> None:
    for first in range(0, len(vectors), 100_000):
        add(first, np.ascontiguousarray(vectors[first : first + 100_000]))


def hnsw(vectors: np.ndarray):
    index = faiss.IndexHNSWFlat(LENGTH, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    add_all(vectors, lambda _, part: index.add(part))

    def set_effort(ef: int) -> None:
        index.hnsw.efSearch = ef

    return [64, 128, 256, 512, 1024, 2048, 4096], set_effort, lambda query: index.search(query, LIMIT)[1][0]


def ivfpq(vectors: np.ndarray):
    lists = int(4 * len(vectors) ** 0.5)
    quantizer = faiss.IndexFlatIP(LENGTH)
    codes = faiss.IndexIVFPQ(quantizer, LENGTH, lists, LENGTH // 4, 8, faiss.METRIC_INNER_PRODUCT)
    sample = np.sort(np.random.default_rng(1).choice(len(vectors), min(len(vectors), 40 * lists), replace=False))
    codes.train(np.ascontiguousarray(vectors[sample]))
    index = faiss.IndexRefineFlat(codes)
    add_all(vectors, lambda _, part: index.add(part))
    index.k_factor = 20

    def set_effort(share: float) -> None:
        codes.nprobe = max(1, int(share * lists))

    return [0.01, 0.03, 0.07, 0.14, 0.2, 0.27, 0.4], set_effort, lambda query: index.search(query, LIMIT)[1][0]


def usearch(vectors: np.ndarray):
    index = Index(ndim=LENGTH, metric="ip", dtype="i8", connectivity=16, expansion_add=100)
    add_all(vectors, lambda first, part: index.add(np.arange(first, first + len(part)), part, threads=CORES))

    def set_effort(ef: int) -> None:
        index.expansion_search = ef

    return [64, 128, 256, 512, 1024, 2048, 4096], set_effort, lambda query: index.search(query[0], LIMIT, threads=1).keys


def main() -> None:
    data, names = Path(sys.argv[1]), sys.argv[2:] or ["hnsw", "ivfpq", "usearch"]
    vectors = read(data / "vectors.f32")
    kinds = {}
    for kind in ["texts", "images"]:
        queries = np.array(read(data / f"{kind}.f32")[-QUERIES:])
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        kinds[kind] = (queries, exact(vectors, queries))
    for name in names:
        faiss.omp_set_num_threads(CORES)
        gc.collect()
        before, start = resident(), time.perf_counter()
        efforts, set_effort, search = {"hnsw": hnsw, "ivfpq": ivfpq, "usearch": usearch}[name](vectors)
        built, memory = time.perf_counter() - start, resident() - before
        print(f"{name}: built in {built:.0f} s with {CORES} threads, {memory:.0f} MB", flush=True)
        faiss.omp_set_num_threads(1)
        report(name, efforts, set_effort, search, kinds)
        del search, set_effort


if __name__ == "__main__":
    main()
