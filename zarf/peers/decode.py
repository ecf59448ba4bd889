"""What a file costs from its bytes to a model's square, by the libraries that people use: Pillow, Pillow with `draft`,
and libvips. One core, CPU milliseconds, best of many; one line a file and library, tab separated.

    decode.py FOLDER SIDE SECONDS

`make bench-peers` makes FOLDER, runs this beside our own, and prints one table.
"""

import io
import os
import sys
import time

os.environ["VIPS_CONCURRENCY"] = "1"

import numpy
import pyvips
from PIL import Image

pyvips.cache_set_max(0)

FOLDER, SIDE, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])


def square(picture):
    """Shortest side to SIDE, antialiased bicubic, centre crop: the rule of CLIP."""
    picture = picture.convert("RGB")
    width, height = picture.size
    shortest = min(width, height)
    width, height = round(width * SIDE / shortest), round(height * SIDE / shortest)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    return numpy.asarray(picture.crop((left, top, left + SIDE, top + SIDE)))


def pillow(data):
    return square(Image.open(io.BytesIO(data)))


def draft(data):
    picture = Image.open(io.BytesIO(data))
    # The least that still is no smaller than the square on either side.
    picture.draft("RGB", (SIDE, SIDE))
    return square(picture)


def libvips(data):
    picture = pyvips.Image.thumbnail_buffer(data, SIDE, height=SIDE, crop="centre")
    return picture.numpy()


def best(work, data):
    """The least of the CPU time of this process, in milliseconds."""
    least, end = float("inf"), time.monotonic() + SECONDS
    while time.monotonic() < end:
        begun = time.process_time()
        made = work(data)
        least = min(least, time.process_time() - begun)
        assert made.shape[:2] == (SIDE, SIDE), made.shape
    return least * 1000


for name in sorted(os.listdir(FOLDER)):
    with open(os.path.join(FOLDER, name), "rb") as file:
        data = file.read()
    peers = [("pillow", pillow), ("libvips", libvips)]
    if name.endswith(".jpg"):
        peers.insert(1, ("draft", draft))
    for peer, work in peers:
        print(name, peer, f"{best(work, data):.3f}", sep="\t", flush=True)
