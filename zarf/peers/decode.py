"""The time from the bytes of a file to a model's square, with our decoder and with Pillow, Pillow with `draft`, and libvips.
One core, CPU time, the minimum of many alternating runs, one table.

    make bench-peers

Missing files are made from demo/: a photo of 640 x 480 and one of 12 megapixels, with the grain of a camera, as JPEG, WebP,
PNG and AVIF. With names of files as further arguments, such as `12mp.avif`, only these are measured.
"""

import io
import os
import sys
import time
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "1"

import numpy
import pyvips
from ours import ROOT, Ours
from PIL import Image

SIDE, SECONDS, CORE = 224, 6, 0
# For each file: the target, compared with Pillow's full path and libvips.
TARGETS = {
    "12mp.jpg": ("6 x pillow, 1.25 x libvips", lambda pillow, vips: min(pillow / 6, vips / 1.25)),
    "640.jpg": ("3 x the faster", lambda pillow, vips: min(pillow, vips) / 3),
    "12mp.png": ("1.5 x the faster", lambda pillow, vips: min(pillow, vips) / 1.5),
    "640.png": ("1.5 x the faster", lambda pillow, vips: min(pillow, vips) / 1.5),
    "12mp.webp": ("1.4 x the faster", lambda pillow, vips: min(pillow, vips) / 1.4),
    "640.webp": ("1.4 x the faster", lambda pillow, vips: min(pillow, vips) / 1.4),
    # Without a target: dav1d with its assembler is what the others use.
    "12mp.avif": ("libvips", lambda pillow, vips: vips),
    "640.avif": ("libvips", lambda pillow, vips: vips),
}


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    photo = Image.open(ROOT / "demo" / "raccoon.jpg").convert("RGB")
    rng = numpy.random.default_rng(1)
    for name, size, grain in [("12mp", (4000, 3000), 4), ("640", (640, 480), 3)]:
        pixels = numpy.asarray(photo.resize(size, Image.Resampling.LANCZOS)).astype(numpy.float32)
        pixels += rng.normal(0, grain, pixels.shape[:2])[..., None] + rng.normal(0, grain / 2, pixels.shape)
        image = Image.fromarray(numpy.clip(pixels, 0, 255).astype(numpy.uint8))
        image.save(folder / f"{name}.jpg", quality=90)
        image.save(folder / f"{name}.webp", quality=90)
        image.save(folder / f"{name}.png")
        image.save(folder / f"{name}.avif", quality=75)


def square(image):
    """Shortest side to SIDE, antialiased bicubic, centre crop: the rule of CLIP."""
    image = image.convert("RGB")
    width, height = image.size
    shortest = min(width, height)
    width, height = round(width * SIDE / shortest), round(height * SIDE / shortest)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    return numpy.asarray(image.crop((left, top, left + SIDE, top + SIDE)))


def pillow(data):
    return square(Image.open(io.BytesIO(data)))


def draft(data):
    image = Image.open(io.BytesIO(data))
    # The smallest scale that is at least as large as the square on both sides.
    image.draft("RGB", (SIDE, SIDE))
    return square(image)


def libvips(data):
    return pyvips.Image.thumbnail_buffer(data, SIDE, height=SIDE, crop="centre").numpy()


def timed(work, data):
    def once():
        started = time.process_time()
        result = work(data)
        took = time.process_time() - started
        assert result.shape[:2] == (SIDE, SIDE), result.shape
        return took

    return once


def main():
    folder = Path(sys.argv[1])
    if not all((folder / name).exists() for name in TARGETS):
        make(folder)
    os.sched_setaffinity(0, {CORE})
    pyvips.cache_set_max(0)
    ours = Ours("decode_peer", "prepare", cores={CORE})
    ways = ["pillow", "draft", "libvips", "ours", "whole", "with thumbnail"]
    print(f"CPU ms to {SIDE} x {SIDE}, one core, minimum of {SECONDS} s; load {os.getloadavg()[0]:.1f}")
    print(f"{'':10}" + "".join(f"{way:>16}" for way in ways) + "   target")
    for name in sys.argv[2:] or TARGETS:
        text, bound = TARGETS[name]
        path = folder / name
        data = path.read_bytes()
        work = {
            "pillow": timed(pillow, data),
            "libvips": timed(libvips, data),
            "ours": lambda: ours.run(f"{SIDE} fast {path}"),
            "whole": lambda: ours.run(f"{SIDE} full {path}"),
            "with thumbnail": lambda: ours.run(f"{SIDE} thumbnail {path}"),
        }
        if name.endswith(".jpg"):
            work["draft"] = timed(draft, data)
        least = dict.fromkeys(work, float("inf"))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for way, once in work.items():
                least[way] = min(least[way], once() * 1000)
        row = "".join(f"{least[way]:16.2f}" if way in least else f"{'':16}" for way in ways)
        ratio = bound(least["pillow"], least["libvips"]) / least["ours"]
        more = least["with thumbnail"] / least["ours"]
        print(f"{name:10}{row}   {text}: {ratio:.2f} of it; thumbnail {more:.2f} x (1.10 at 12mp)", flush=True)
    ours.end()


main()
