"""Makes tests/data/colour: small files with colour profiles, and their colours in sRGB by littleCMS.

    python -m venv /some/venv && /some/venv/bin/pip install pillow numpy
    /some/venv/bin/python zarf/golden/colour.py

All profiles are written by hand, so that none of others is copied.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy
from PIL import Image, ImageCms

DATA = Path(__file__).resolve().parents[2] / "tests" / "data" / "colour"
SIDE = 8
ALL = []

D50, D65 = (0.9642, 1.0, 0.8249), (0.95047, 1.0, 1.08883)
BRADFORD = numpy.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_XY = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]
P3_XY = [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)]
ADOBE_XY = [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]
PROPHOTO_XY = [(0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105)]


def number(value):
    return struct.pack(">i", round(value * 65536))


def xyz(values):
    return b"XYZ \0\0\0\0" + b"".join(number(value) for value in values)


def text(words):
    words = words.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">IIHHII", 1, 12, 0x656E, 0x5553, len(words), 28) + words


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"


SRGB_CURVE = b"para\0\0\0\0\0\x03\0\0" + b"".join(
    number(value) for value in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
)


def profile(kind, space, connection, tags, version=0x04300000):
    tags = [(b"desc", text("test")), (b"cprt", text("CC0")), (b"wtpt", xyz(D50)), *tags]
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        data += b"\0" * (-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0" * 4, version, kind, space, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + b"".join(number(value) for value in D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def matrix(primaries, white):
    """The columns are red, green and blue in XYZ, adapted to D50."""
    columns = numpy.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    columns = columns * numpy.linalg.solve(columns, numpy.array(white))
    cones = (BRADFORD @ numpy.array(D50)) / (BRADFORD @ numpy.array(white))
    return numpy.linalg.inv(BRADFORD) @ numpy.diag(cones) @ BRADFORD @ columns


def rgb_profile(primaries, curve, white=D65):
    columns = matrix(primaries, white).T
    tags = [(name, xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns)]
    return profile(b"mntr", b"RGB ", b"XYZ ", tags + [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")])


def cmyk_profile():
    """Inks that each take away a share of light, so that dark colours are not black, as a table of eight bits.

    The version is 2, as of most such profiles."""
    steps = 7
    left = {"c": [0.08, 0.42, 0.78], "m": [0.74, 0.10, 0.35], "y": [0.95, 0.85, 0.08], "k": [0.08, 0.08, 0.09]}
    columns = matrix(SRGB_XY, D65)
    rows = bytearray()
    for index in numpy.ndindex(steps, steps, steps, steps):
        light = numpy.ones(3)
        for amount, ink in zip(index, "cmyk"):
            share = (amount / (steps - 1)) ** 0.8
            light *= 1 - share + share * numpy.array(left[ink])
        ratio = columns @ light / numpy.array(D50)
        f = numpy.where(ratio > 216 / 24389, numpy.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
        lab = [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]
        rows += bytes([round(lab[0] * 2.55), round(lab[1] + 128), round(lab[2] + 128)])
    identity = bytes(range(256))
    head = b"mft1\0\0\0\0" + bytes([4, 3, steps, 0])
    head += b"".join(number(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    return profile(b"prtr", b"CMYK", b"Lab ", [(b"A2B0", head + identity * 4 + bytes(rows) + identity * 3)],
                   0x02400000)


P3 = rgb_profile(P3_XY, SRGB_CURVE)
ADOBE = rgb_profile(ADOBE_XY, gamma(563 / 256))
PROPHOTO = rgb_profile(PROPHOTO_XY, gamma(1.8), D50)
LINEAR_P3 = rgb_profile(P3_XY, gamma(1.0))
GRAY = profile(b"mntr", b"GRAY", b"XYZ ", [(b"kTRC", gamma(1.8))])
CMYK = cmyk_profile()


def chart(mode="RGB"):
    """64 squares of 32 pixels, each of one colour."""
    places = numpy.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    if mode == "L":
        cells = (places * 4).astype(numpy.uint8)
    elif mode == "CMYK":
        order = places * 37 % 64
        shares = [order % 4, order // 4 % 4, order // 16, (places // 8) % 4]
        cells = numpy.stack([share * (85, 85, 85, 60)[at] for at, share in enumerate(shares)], axis=-1).astype(numpy.uint8)
    else:
        order = places * 37 % 64
        cells = numpy.stack([order % 4, order // 4 % 4, order // 16], axis=-1).astype(numpy.uint8) * 85
    return Image.fromarray(cells.repeat(32, axis=0).repeat(32, axis=1), mode)


def to_srgb(image, icc):
    """Relative colorimetric: with another intent, littleCMS makes the darkest colour of the file black, as browsers do not."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), renderingIntent=intent, outputMode="RGB")


def means(image):
    """The means of the middle of each square: at its edge, a JPEG mixes the colours of two squares."""
    pixels = numpy.asarray(image.convert("RGB"), dtype=float).reshape(SIDE, 32, SIDE, 32, 3)[:, 8:24, :, 8:24]
    return [int(value) for value in pixels.mean(axis=(1, 3)).round().reshape(-1)]


def expect(name, image, stored=None):
    """`stored` is what the model gets without a conversion."""
    entry = {"file": name, "srgb": means(image)}
    if stored is not None:
        entry["stored"] = means(stored)
    ALL.append(entry)


def save(name, image, icc, **options):
    """Saves an image with its profile, and expects what littleCMS makes of the file."""
    image.save(DATA / name, icc_profile=icc, **options)
    with Image.open(DATA / name) as stored:
        stored.load()
        expect(name, to_srgb(stored, icc), stored if stored.mode != "CMYK" else None)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(name, chunks, shown, deep=False):
    """Saves the chart as a PNG with these chunks before its pixels."""
    pixels = numpy.asarray(chart())
    if deep:
        pixels = (pixels.astype(numpy.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", 256, 256, 16 if deep else 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + b"".join(chunk(kind, data) for kind, data in chunks)
    body += chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    (DATA / name).write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    expect(name, shown, chart())


def hdr_png(name, transfer, signal, shown):
    """Gray squares from black to the brightest light, with 16 bits."""
    samples = (signal * 65535).round().astype(">u2").reshape(SIDE, SIDE).repeat(32, axis=0).repeat(32, axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 256, 256, 16, 0, 0, 0, 0)) + chunk(b"cICP", bytes([9, transfer, 0, 1]))
    body += chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    (DATA / name).write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    gray = numpy.clip(shown * 255, 0, 255).round().astype(numpy.uint8)
    image = Image.fromarray(gray.reshape(SIDE, SIDE).repeat(32, axis=0).repeat(32, axis=1), "L")
    expect(name, image, image)


def hdr():
    """The mapping of src/imaging/tone.rs by its formulas: light up to half of 203 cd/m2 is kept, 1,000 cd/m2 is white."""
    light = numpy.concatenate([numpy.linspace(0, 203, 40), numpy.linspace(203, 1000, 24)])
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (light / 10000) ** m1
    pq = ((c1 + c2 * power) / (1 + c3 * power)) ** m2
    scene = (light / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    hlg = numpy.where(scene <= 1 / 12, numpy.sqrt(3 * scene), a * numpy.log(numpy.maximum(12 * scene - b, 1e-9)) + c)
    white, most = light / 203, 1000 / 203
    slope = (most - 0.5) / 0.5
    part = (white - 0.5) / (most - 0.5)
    linear = numpy.where(white <= 0.5, white, 0.5 + 0.5 * slope * part / (1 + (slope - 1) * part))
    shown = numpy.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    hdr_png("pq.png", 16, pq, shown)
    hdr_png("hlg.png", 18, hlg, shown)


def files():
    jpeg = {"quality": 95, "subsampling": 0}
    save("p3.jpg", chart(), P3, **jpeg)
    save("adobe.jpg", chart(), ADOBE, **jpeg)
    save("prophoto.jpg", chart(), PROPHOTO, **jpeg)
    save("gray.jpg", chart("L"), GRAY, **jpeg)
    save("cmyk.jpg", chart("CMYK"), CMYK, **jpeg)
    save("cmyk.tif", chart("CMYK"), CMYK, compression="tiff_lzw")
    save("adobe.tif", chart(), ADOBE, compression="tiff_lzw")
    save("p3.webp", chart(), P3, lossless=True)
    save("gray.png", chart("L"), GRAY)
    iccp = {key: b"p\0\0" + zlib.compress(icc) for key, icc in (("p3", P3), ("adobe", ADOBE), ("prophoto", PROPHOTO))}
    whites = [(0.3127, 0.3290), *P3_XY]
    chrm = b"".join(struct.pack(">I", round(value * 100000)) for pair in whites for value in pair)
    linear = struct.pack(">I", 100000)
    png("prophoto.png", [(b"iCCP", iccp["prophoto"])], to_srgb(chart(), PROPHOTO))
    png("deep.png", [(b"iCCP", iccp["adobe"])], to_srgb(chart(), ADOBE), deep=True)
    png("cicp.png", [(b"cICP", bytes([12, 13, 0, 1])), (b"iCCP", iccp["adobe"]), (b"sRGB", b"\0")], to_srgb(chart(), P3))
    png("iccp.png", [(b"gAMA", linear), (b"sRGB", b"\0"), (b"iCCP", iccp["p3"])], to_srgb(chart(), P3))
    png("srgb.png", [(b"gAMA", linear), (b"cHRM", chrm), (b"sRGB", b"\0")], chart())
    png("gama.png", [(b"gAMA", linear), (b"cHRM", chrm)], to_srgb(chart(), LINEAR_P3))
    png("broken.png", [(b"iCCP", b"p\0\0" + zlib.compress(P3[:200]))], chart())
    hdr()


def main():
    DATA.mkdir(exist_ok=True)
    files()
    lines = ",\n".join("  " + json.dumps(entry) for entry in ALL)
    (DATA / "expected.json").write_text(f"[\n{lines}\n]\n")
    print(len(ALL), "files,", sum(file.stat().st_size for file in DATA.iterdir()), "bytes")


if __name__ == "__main__":
    main()
