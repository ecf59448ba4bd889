"""Makes tests/data out of demo/ with Pillow: small files of every kind, and the results of Pillow for them.

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


def demo_image(name, size):
    """A demo image, cropped and resized to exactly this size."""
    return ImageOps.fit(Image.open(ROOT / "demo" / f"{name}.jpg").convert("RGB"), size, Image.Resampling.BICUBIC)


def with_alpha(image):
    alpha = Image.linear_gradient("L").resize(image.size)
    image = image.copy()
    image.putalpha(alpha)
    return image


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def stored(upright, orientation):
    """The pixels as a camera stores them with this orientation: the inverse of exif_transpose."""
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


def deep_png(path, image, colour, channels):
    """16 bits per sample with varying low bytes. Pillow cannot write such an RGB file."""
    eight = numpy.asarray(image).astype(numpy.uint16).reshape(image.height, image.width * channels)
    low = (numpy.arange(eight.size, dtype=numpy.uint16) * 37 % 256).reshape(eight.shape)
    rows = (eight * 256 + low).astype(">u2")
    body = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", image.width, image.height, 16, colour, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body, 9)) + chunk(b"IEND", b"")
    path.write_bytes(png)
    # Scaled, not cut: the nearest of 0..=255.
    eight = (rows.astype(float) / 257 + 0.5).astype(numpy.uint8).reshape(image.height, image.width, channels)
    return Image.fromarray(eight.squeeze(), image.mode)


def interlaced(path, image):
    """Adam7, which Pillow can read but not write."""
    pixels = numpy.asarray(image.convert("RGB"))
    body = b""
    for x, y, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = pixels[y::dy, x::dx]
        if part.size:
            body += b"".join(b"\0" + row.tobytes() for row in part)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 1)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body, 9)) + chunk(b"IEND", b"")
    )


def ycck(path, image):
    """CMYK as luminance and chroma of the inverse, as Photoshop writes it. Pillow reads it, but writes plain CMYK."""
    cyan, magenta, yellow, black = image.convert("CMYK").split()
    planes = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr").split()
    # Pillow writes every plane inverted.
    planes = [plane.point(lambda value: 255 - value) for plane in planes]
    Image.merge("CMYK", (*planes, black)).save(path, quality=90)
    jpeg = bytearray(path.read_bytes())
    jpeg[jpeg.index(b"Adobe") + 11] = 2
    path.write_bytes(jpeg)


def over_white(image):
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def crop(upright):
    """The model's rule: shorter side to the size of the square, half to even, bicubic, then the centre."""
    width, height = upright.size
    shortest = min(width, height)
    wide, high = (max(SIDE, round(side * SIDE / shortest)) for side in (width, height))
    left, top = (wide - SIDE) // 2, (high - SIDE) // 2
    scale_x, scale_y = width / wide, height / high
    if max(wide, high) <= 8 * SIDE:
        return upright.resize((wide, high), Image.Resampling.BICUBIC).crop((left, top, left + SIDE, top + SIDE))
    # Only the centre of a strip: resized as a whole it would be hundreds of thousands of pixels long.
    box = (left * scale_x, top * scale_y, (left + SIDE) * scale_x, (top + SIDE) * scale_y)
    return upright.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)


PAD = (32, 48, 64)


def pad(upright):
    """The longer side to the size of the square, half to even, bicubic, centred on one colour."""
    longest = max(upright.size)
    size = tuple(max(1, round(side * SIDE / longest)) for side in upright.size)
    square = Image.new("RGB", (SIDE, SIDE), PAD)
    square.paste(upright.resize(size, Image.Resampling.BICUBIC), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return square


def mutation():
    folder = DATA / "mutation"
    folder.mkdir(parents=True)
    image = demo_image("cat", (67, 49))
    other = demo_image("coffee", (67, 49))
    image.save(folder / "progressive.jpg", quality=80, progressive=True)
    image.save(folder / "restarts.jpg", quality=80, restart_marker_rows=1)
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=60)
    interlaced(folder / "interlaced.png", image.resize((33, 25)))
    palette = image.quantize(16)
    palette.save(folder / "palette.png", transparency=bytes(range(0, 256, 16)))
    image.resize((33, 25)).save(folder / "animated.png", save_all=True, append_images=[other.resize((33, 25))])
    image.save(folder / "lossy.webp", quality=60)
    with_alpha(image).save(folder / "alpha.webp", quality=60, exif=exif(6))
    image.save(folder / "animated.webp", quality=60, save_all=True, append_images=[other])


def goldens():
    expected = []

    def add(name, upright=None, resize=crop):
        image = Image.open(DATA / name)
        shown = over_white(ImageOps.exif_transpose(upright or image))
        reference = f"{Path(name).stem}-{Path(name).suffix[1:]}{'-pad' if resize is pad else ''}.png"
        resize(shown).save(DATA / "reference" / reference, optimize=True)
        expected.append({
            "file": name,
            "reference": reference,
            "resize": resize.__name__,
            "width": shown.width,
            "height": shown.height,
            "frames": getattr(image, "n_frames", 1),
            "orientation": image.getexif().get(0x0112, 1),
            "lossless": image.format in ("PNG", "GIF") or name.startswith("lossless"),
        })

    def save(name, image, **how):
        image.save(DATA / name, **how)
        add(name)

    (DATA / "reference").mkdir(parents=True)
    moose = demo_image("moose", (160, 120))
    for value in range(1, 9):
        save(f"orientation-{value}.jpg", stored(moose, value), quality=90, exif=exif(value))
    small = demo_image("temple", (72, 54))
    for value in (3, 6, 7):
        save(f"orientation-{value}.png", stored(small, value), exif=exif(value))
    save("orientation-8.webp", stored(moose, 8), quality=80, exif=exif(8))
    save("lossless-5.webp", stored(small, 5), lossless=True, exif=exif(5))

    cat = demo_image("cat", (72, 90))
    save("gray.jpg", cat.convert("L"), quality=90)
    save("progressive.jpg", demo_image("coffee", (120, 90)), quality=90, progressive=True)
    save("half-chroma.jpg", demo_image("flower", (131, 97)), quality=90, subsampling="4:2:2")
    save("full-chroma.jpg", demo_image("flower", (97, 131)), quality=90, subsampling="4:4:4")
    save("wide-chroma.jpg", demo_image("flower", (115, 97)), quality=90, subsampling="4:2:0")
    save("restarts.jpg", demo_image("coffee", (131, 75)), quality=85, restart_marker_blocks=3)
    save("cmyk.jpg", demo_image("panda", (90, 72)).convert("CMYK"), quality=90)
    ycck(DATA / "ycck.jpg", demo_image("panda", (90, 72)))
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
    # A frame that is larger than the screen, and a GIF without a palette.
    gif = bytearray((DATA / "plain.gif").read_bytes())
    gif[6:10] = struct.pack("<HH", 10, 20)
    (DATA / "grown.gif").write_bytes(gif)
    add("grown.gif")
    # A gray ramp loses nothing, so its palette can be removed.
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
    save("223x225.jpg", demo_image("louvre", (223, 225)), quality=85)
    save("65x64.png", demo_image("wrench", (65, 64)), optimize=True)
    save("63x31.png", demo_image("wrench", (63, 31)), optimize=True)
    turned = ["orientation-1.jpg", "orientation-6.jpg", "orientation-3.png"]
    for name in [*turned, "alpha.png", "223x225.jpg", "65x64.png", "63x31.png", "1x1.png", "1x5000.png"]:
        add(name, resize=pad)
    (DATA / "expected.json").write_text("[\n" + ",\n".join(json.dumps(it) for it in expected) + "\n]\n")


if __name__ == "__main__":
    # Folders of other scripts are kept.
    DATA.mkdir(exist_ok=True)
    for path in DATA.iterdir():
        if path.is_file():
            path.unlink()
    for folder in ["mutation", "reference"]:
        shutil.rmtree(DATA / folder, ignore_errors=True)
    mutation()
    goldens()
