"""Makes tests/data out of demo/ with Pillow: small files of every kind, and what Pillow makes of them.

    python -m venv /some/venv && /some/venv/bin/pip install pillow numpy && /some/venv/bin/python zarf/golden/make.py
"""

import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
SIDE = 64


def photograph(name, size):
    """A demo photograph, cut and shrunk to exactly this size."""
    return ImageOps.fit(Image.open(ROOT / "demo" / f"{name}.jpg").convert("RGB"), size, Image.Resampling.BICUBIC)


def with_alpha(picture):
    alpha = Image.linear_gradient("L").resize(picture.size)
    picture = picture.copy()
    picture.putalpha(alpha)
    return picture


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def stored(upright, orientation):
    """As a camera stores it that says `orientation`: exif_transpose undoes it."""
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    return upright if turn is None else upright.transpose(turn)


def deep_png(path, picture, colour, channels):
    """16 bits a sample with low bytes of their own: Pillow writes no such RGB, so it is written here."""
    eight = numpy.asarray(picture).astype(numpy.uint16).reshape(picture.height, picture.width * channels)
    low = (numpy.arange(eight.size, dtype=numpy.uint16) * 37 % 256).reshape(eight.shape)
    rows = (eight * 256 + low).astype(">u2")
    body = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", picture.width, picture.height, 16, colour, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body, 9)) + chunk(b"IEND", b"")
    path.write_bytes(png)
    # Scaled, not cut: the nearest of 0..=255.
    eight = (rows.astype(float) / 257 + 0.5).astype(numpy.uint8).reshape(picture.height, picture.width, channels)
    return Image.fromarray(eight.squeeze(), picture.mode)


def interlaced(path, picture):
    """Adam7, which Pillow reads and does not write."""
    pixels = numpy.asarray(picture.convert("RGB"))
    body = b""
    for x, y, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = pixels[y::dy, x::dx]
        if part.size:
            body += b"".join(b"\0" + row.tobytes() for row in part)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 1)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body, 9)) + chunk(b"IEND", b"")
    )


def ycck(path, picture):
    """What Photoshop writes: CMYK as luminance and chroma of the inverse. Pillow reads it and writes plain CMYK."""
    cyan, magenta, yellow, black = picture.convert("CMYK").split()
    planes = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr").split()
    # Pillow writes every plane inverted.
    planes = [plane.point(lambda value: 255 - value) for plane in planes]
    Image.merge("CMYK", (*planes, black)).save(path, quality=90)
    jpeg = bytearray(path.read_bytes())
    jpeg[jpeg.index(b"Adobe") + 11] = 2
    path.write_bytes(jpeg)


def over_white(picture):
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def crop(upright):
    """The model's card: shorter side to the square's, halves to even, bicubic, then the middle."""
    width, height = upright.size
    shortest = min(width, height)
    wide, high = (max(SIDE, round(side * SIDE / shortest)) for side in (width, height))
    left, top = (wide - SIDE) // 2, (high - SIDE) // 2
    scale_x, scale_y = width / wide, height / high
    if max(wide, high) <= 8 * SIDE:
        return upright.resize((wide, high), Image.Resampling.BICUBIC).crop((left, top, left + SIDE, top + SIDE))
    # Of a strip only the middle: resized whole it would be hundreds of thousands of pixels long.
    box = (left * scale_x, top * scale_y, (left + SIDE) * scale_x, (top + SIDE) * scale_y)
    return upright.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)


PAD = (32, 48, 64)


def pad(upright):
    """The longer side to the square's, halves to even, bicubic, in the middle of one colour."""
    longest = max(upright.size)
    size = tuple(max(1, round(side * SIDE / longest)) for side in upright.size)
    square = Image.new("RGB", (SIDE, SIDE), PAD)
    square.paste(upright.resize(size, Image.Resampling.BICUBIC), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return square


def mutation():
    folder = DATA / "mutation"
    folder.mkdir(parents=True)
    picture = photograph("cat", (67, 49))
    other = photograph("coffee", (67, 49))
    picture.save(folder / "progressive.jpg", quality=80, progressive=True)
    picture.save(folder / "restarts.jpg", quality=80, restart_marker_rows=1)
    picture.convert("CMYK").save(folder / "cmyk.jpg", quality=60)
    interlaced(folder / "interlaced.png", picture.resize((33, 25)))
    palette = picture.quantize(16)
    palette.save(folder / "palette.png", transparency=bytes(range(0, 256, 16)))
    picture.resize((33, 25)).save(folder / "animated.png", save_all=True, append_images=[other.resize((33, 25))])
    picture.save(folder / "lossy.webp", quality=60)
    with_alpha(picture).save(folder / "alpha.webp", quality=60, exif=exif(6))
    picture.save(folder / "animated.webp", quality=60, save_all=True, append_images=[other])


def goldens():
    expected = []

    def add(name, upright=None, resize=crop):
        picture = Image.open(DATA / name)
        seen = over_white(ImageOps.exif_transpose(upright or picture))
        reference = f"{Path(name).stem}-{Path(name).suffix[1:]}{'-pad' if resize is pad else ''}.png"
        resize(seen).save(DATA / "reference" / reference, optimize=True)
        expected.append({
            "file": name,
            "reference": reference,
            "resize": resize.__name__,
            "width": seen.width,
            "height": seen.height,
            "frames": getattr(picture, "n_frames", 1),
            "orientation": picture.getexif().get(0x0112, 1),
            "lossless": picture.format in ("PNG", "GIF") or name.startswith("lossless"),
        })

    def save(name, picture, **how):
        picture.save(DATA / name, **how)
        add(name)

    (DATA / "reference").mkdir(parents=True)
    moose = photograph("moose", (160, 120))
    for value in range(1, 9):
        save(f"orientation-{value}.jpg", stored(moose, value), quality=90, exif=exif(value))
    small = photograph("temple", (72, 54))
    for value in (3, 6, 7):
        save(f"orientation-{value}.png", stored(small, value), exif=exif(value))
    save("orientation-8.webp", stored(moose, 8), quality=80, exif=exif(8))
    save("lossless-5.webp", stored(small, 5), lossless=True, exif=exif(5))

    cat = photograph("cat", (72, 90))
    save("gray.jpg", cat.convert("L"), quality=90)
    save("progressive.jpg", photograph("coffee", (120, 90)), quality=90, progressive=True)
    save("half-chroma.jpg", photograph("flower", (131, 97)), quality=90, subsampling="4:2:2")
    save("full-chroma.jpg", photograph("flower", (97, 131)), quality=90, subsampling="4:4:4")
    save("wide-chroma.jpg", photograph("flower", (115, 97)), quality=90, subsampling="4:2:0")
    save("restarts.jpg", photograph("coffee", (131, 75)), quality=85, restart_marker_blocks=3)
    save("cmyk.jpg", photograph("panda", (90, 72)).convert("CMYK"), quality=90)
    ycck(DATA / "ycck.jpg", photograph("panda", (90, 72)))
    add("ycck.jpg")
    save("gray.png", cat.convert("L"), optimize=True)
    save("gray-alpha.png", with_alpha(cat).convert("LA"), optimize=True)
    save("alpha.png", with_alpha(cat.resize((70, 66))), optimize=True)
    save("bilevel.png", cat.convert("1"), optimize=True)
    palette = cat.quantize(64)
    save("palette.png", palette, optimize=True)
    save("palette-trns.png", palette, transparency=bytes(i * 4 for i in range(64)))
    save("rgb-trns.png", cat.quantize(8).convert("RGB"), transparency=cat.quantize(8).convert("RGB").getpixel((0, 0)))
    save("alpha.webp", with_alpha(cat), quality=80)
    save("plain.gif", palette)
    save("transparent.gif", palette, transparency=palette.getpixel((36, 45)))
    save("animated.gif", palette, save_all=True, append_images=[moose.resize((72, 90)).quantize(64)])
    save("animated.webp", cat, quality=80, save_all=True, append_images=[moose.resize((72, 90))])
    save("animated.png", small, save_all=True, append_images=[moose.resize((72, 54))])
    save("still-and-animated.png", small, save_all=True, default_image=True, append_images=[small, small])
    # A frame that is larger than the screen, and a GIF that leaves its palette to the reader.
    gif = bytearray((DATA / "plain.gif").read_bytes())
    gif[6:10] = struct.pack("<HH", 10, 20)
    (DATA / "grown.gif").write_bytes(gif)
    add("grown.gif")
    # Of a gray ramp nothing is lost, so that its palette can be taken away.
    Image.linear_gradient("L").save(DATA / "no-palette.gif")
    gif = (DATA / "no-palette.gif").read_bytes()
    assert gif[10] & 0x87 == 0x87
    (DATA / "no-palette.gif").write_bytes(gif[:10] + bytes([gif[10] & 0x70]) + gif[11:13] + gif[13 + 768 :])
    add("no-palette.gif")
    interlaced(DATA / "interlaced.png", cat)
    add("interlaced.png")
    add("deep-rgb.png", deep_png(DATA / "deep-rgb.png", small, 2, 3))
    gray = small.convert("L")
    add("deep-gray.png", deep_png(DATA / "deep-gray.png", gray, 0, 1))

    save("1x1.png", Image.new("RGB", (1, 1), (200, 100, 50)))
    ramp = Image.linear_gradient("L").resize((1, 5000)).convert("RGB")
    save("1x5000.png", ramp)
    save("5000x1.png", ramp.transpose(Image.Transpose.ROTATE_90))
    save("5000x1.jpg", ramp.transpose(Image.Transpose.ROTATE_90), quality=90)
    save("223x225.jpg", photograph("louvre", (223, 225)), quality=85)
    save("65x64.png", photograph("wrench", (65, 64)), optimize=True)
    save("63x31.png", photograph("wrench", (63, 31)), optimize=True)
    turned = ["orientation-1.jpg", "orientation-6.jpg", "orientation-3.png"]
    for name in [*turned, "alpha.png", "223x225.jpg", "65x64.png", "63x31.png", "1x1.png", "1x5000.png"]:
        add(name, resize=pad)
    (DATA / "expected.json").write_text("[\n" + ",\n".join(json.dumps(it) for it in expected) + "\n]\n")


if __name__ == "__main__":
    # Folders of other scripts stay.
    DATA.mkdir(exist_ok=True)
    for path in DATA.iterdir():
        if path.is_file():
            path.unlink()
    for folder in ["mutation", "reference"]:
        shutil.rmtree(DATA / folder, ignore_errors=True)
    mutation()
    goldens()
