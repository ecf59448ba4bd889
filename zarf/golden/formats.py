"""Makes tests/data/formats: small TIFF, BMP, HEIC, AVIF, JPEG XL and camera RAW files, and what a second decoder makes of them.

    python -m venv /some/venv && /some/venv/bin/pip install pillow pillow-heif tifffile imagecodecs numpy
    apt-get install libavif-bin libjxl-tools
    /some/venv/bin/python zarf/golden/formats.py [FUNCTION]...

With names of functions, such as `avifs jxls`, only their files are made, and `expected.json` keeps the others.

`grid.heic` is an input of this script: `cargo test --test it -- --ignored make_grid_heic` makes it. With the folder of the
awkward corpus as argument, the script writes only `corpus.json`: what is expected of the corpus' files of these formats.
"""

import io
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import imagecodecs
import numpy
import pillow_heif
import tifffile
from PIL import Image, ImageCms, ImageOps

pillow_heif.register_heif_opener()
ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "formats"
ALL = []

# Display P3: a matrix profile with the curve of sRGB, written by hand so that no profile of others is copied.


def p3_profile():
    def xyz(*values):
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def text(words):
        words = words.encode("utf-16-be")
        return b"mluc\0\0\0\0" + struct.pack(">IIHHII", 1, 12, 0x656E, 0x5553, len(words), 28) + words

    curve = b"para\0\0\0\0\0\x03\0\0" + b"".join(
        struct.pack(">i", round(value * 65536)) for value in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    )
    tags = [
        (b"desc", text("P3")),
        (b"cprt", text("CC0")),
        (b"wtpt", xyz(0.9642, 1.0, 0.8249)),
        (b"rXYZ", xyz(0.515121, 0.241196, -0.001053)),
        (b"gXYZ", xyz(0.291977, 0.692245, 0.041885)),
        (b"bXYZ", xyz(0.157104, 0.066574, 0.784073)),
        (b"rTRC", curve),
        (b"gTRC", curve),
        (b"bTRC", curve),
    ]
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        data += b"\0" * (-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0" * 4, 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    head += struct.pack(">iii", round(0.9642 * 65536), 65536, round(0.8249 * 65536))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


P3 = p3_profile()


def demo(name, size):
    return ImageOps.fit(Image.open(ROOT / "demo" / f"{name}.jpg").convert("RGB"), size, Image.Resampling.BICUBIC)


def quad(size=(320, 240)):
    image = Image.new("RGB", size, (230, 230, 230))
    half = (size[0] // 2, size[1] // 2)
    for colour, at in [((200, 30, 30), (0, 0)), ((30, 200, 30), (half[0], 0)), ((30, 30, 200), (0, half[1]))]:
        image.paste(colour, (*at, at[0] + half[0], at[1] + half[1]))
    return image


def over_white(image):
    if "A" not in image.getbands():
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def grid(image):
    return list(image.resize((8, 8), Image.Resampling.BOX, reducing_gap=None).tobytes())


def expect(file, image, reference, frames=1, orientation=1, thumbnail=None):
    """Notes the grid of an upright RGB image; and of its thumbnail, if its colours are converted."""
    entry = {"file": file, "reference": reference, "width": image.width, "height": image.height}
    entry |= {"frames": frames, "orientation": orientation, "grid": grid(image)}
    if thumbnail is not None:
        entry["thumbnail"] = grid(thumbnail)
    ALL.append(entry)


def by_pillow(file, frames=1, orientation=1):
    """What Pillow makes of the file, upright and over white."""
    with Image.open(DATA / file) as image:
        image.load()
        icc = image.info.get("icc_profile")
        upright = over_white(ImageOps.exif_transpose(image))
    srgb = None
    if icc:
        srgb = ImageCms.profileToProfile(
            upright, io.BytesIO(icc), ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    expect(file, upright, "Pillow", frames, orientation, srgb)


def by_tifffile(file, scale=1.0, frames=1, orientation=1, turn=None):
    """What tifffile makes of the first page; `scale` brings its samples to 255."""
    pixels = tifffile.imread(DATA / file, key=0)
    pixels = numpy.clip(numpy.round(pixels.astype(float) * scale), 0, 255).astype(numpy.uint8)
    if pixels.ndim == 3 and pixels.shape[0] in (3, 4):
        pixels = numpy.moveaxis(pixels, 0, 2)
    image = over_white(Image.fromarray(pixels))
    expect(file, image if turn is None else image.transpose(turn), "tifffile", frames, orientation)


def tiffs():
    cat, small = demo("cat", (112, 84)), quad((64, 48))
    cat.save(DATA / "lzw.tif", compression="tiff_lzw")
    cat.save(DATA / "jpeg-strips.tif", compression="jpeg", quality=90)
    cat.convert("1").save(DATA / "group4.tif", compression="group4")
    cat.convert("L").save(DATA / "packbits-gray.tif", compression="packbits")
    cat.quantize(200).save(DATA / "palette.tif", compression="tiff_lzw")
    small.convert("CMYK").save(DATA / "cmyk.tif", compression="tiff_lzw")
    with_alpha = cat.copy()
    with_alpha.putalpha(Image.linear_gradient("L").resize(cat.size))
    with_alpha.save(DATA / "alpha.tif", compression="tiff_lzw")
    small.save(DATA / "two-pages.tif", compression="tiff_lzw", save_all=True, append_images=[cat])
    quad((64, 48)).save(DATA / "profile.tif", compression="tiff_lzw", icc_profile=P3)
    for file, frames in [("lzw.tif", 1), ("jpeg-strips.tif", 1), ("group4.tif", 1), ("packbits-gray.tif", 1),
                         ("palette.tif", 1), ("cmyk.tif", 1), ("alpha.tif", 1), ("two-pages.tif", 2),
                         ("profile.tif", 1)]:
        by_pillow(file, frames)

    pixels = numpy.asarray(cat)
    deep = numpy.asarray(small).astype(numpy.uint16) * 257
    rgb = {"photometric": "rgb", "metadata": None}
    tifffile.imwrite(DATA / "tiles-predictor.tif", pixels, tile=(32, 48), compression="zlib", predictor=True, **rgb)
    by_tifffile("tiles-predictor.tif")
    tifffile.imwrite(DATA / "jpeg-tiles.tif", pixels, tile=(64, 64), compression="jpeg", compressionargs={"level": 92}, **rgb)
    by_tifffile("jpeg-tiles.tif")
    tifffile.imwrite(DATA / "planes.tif", numpy.moveaxis(pixels, 2, 0), planarconfig="separate", compression="zlib",
                     rowsperstrip=50, **rgb)
    by_tifffile("planes.tif")
    tifffile.imwrite(DATA / "planes-tiles.tif", numpy.moveaxis(pixels, 2, 0), planarconfig="separate",
                     compression="zlib", tile=(64, 64), **rgb)
    by_tifffile("planes-tiles.tif")
    tifffile.imwrite(DATA / "big-endian-bigtiff.tif", pixels, bigtiff=True, byteorder=">", compression="lzw", **rgb)
    by_tifffile("big-endian-bigtiff.tif")
    tifffile.imwrite(DATA / "deep-turned.tif", deep, compression="zlib", extratags=[(274, 3, 1, 6, True)], **rgb)
    by_tifffile("deep-turned.tif", 1 / 257, orientation=6, turn=Image.Transpose.ROTATE_270)
    floats = (numpy.asarray(small.convert("L")) / 255).astype(numpy.float32)
    tifffile.imwrite(DATA / "floats.tif", floats, compression="zlib", predictor=3, metadata=None)
    by_tifffile("floats.tif", 255)
    tifffile.imwrite(DATA / "white-is-zero.tif", 255 - pixels[:, :, 1], photometric="miniswhite", compression="zlib",
                     metadata=None)
    by_pillow("white-is-zero.tif")
    # A first directory with a preview, as viewers of large images write it.
    with tifffile.TiffWriter(DATA / "preview-first.tif") as file:
        file.write(numpy.asarray(small.resize((16, 12))), subfiletype=1, compression="zlib", **rgb)
        file.write(pixels, compression="zlib", **rgb)
    expect("preview-first.tif", cat, "source")
    tifffile.imwrite(DATA / "refused-zstd.tif", pixels[:8, :8], compression="zstd", **rgb)
    small.convert("LAB").save(DATA / "refused-lab.tif", compression="tiff_lzw")


def parts_of_files():
    """Files in which the image is not the first, or not the only one."""
    cat = demo("coffee", (160, 120))
    pixels, rgb = numpy.asarray(cat), {"photometric": "rgb", "metadata": None, "compression": "zlib"}
    # As TIFF/EP orders them: the first directory describes the file, and refers to the image.
    with tifffile.TiffWriter(DATA / "preview-parent.tif") as file:
        file.write(numpy.asarray(cat.resize((32, 24))), subfiletype=1, subifds=1,
                   extratags=[(274, 3, 1, 6, True), (271, 2, 8, "Glimpse", True)], **rgb)
        file.write(pixels, subfiletype=0, **rgb)
    expect("preview-parent.tif", cat.transpose(Image.Transpose.ROTATE_270), "source", orientation=6)
    # The image that others show is the first; a gain map follows it.
    light = numpy.ones((120, 160, 4), numpy.float16)
    light[:, :, :3] = (pixels / 255.0) ** 2.2
    (DATA / "gain-map.jpg").write_bytes(imagecodecs.ultrahdr_encode(light))
    by_pillow("gain-map.jpg")


def bmps():
    cat = demo("coffee", (101, 76))
    cat.save(DATA / "24.bmp")
    cat.quantize(100).save(DATA / "8.bmp")
    cat.convert("1").save(DATA / "1.bmp")
    cat.convert("RGBA").save(DATA / "32.bmp")
    body = (DATA / "24.bmp").read_bytes()
    rows = [body[54 + 304 * y : 54 + 304 * (y + 1)] for y in range(76)]
    upside_down = body[:22] + struct.pack("<i", -76) + body[26:54] + b"".join(reversed(rows))
    (DATA / "top-down.bmp").write_bytes(upside_down)
    (DATA / "os2.bmp").write_bytes(
        b"BM" + struct.pack("<IHHIIHHHH", 26 + len(body) - 54, 0, 0, 26, 12, 101, 76, 1, 24) + body[54:]
    )
    # RLE8: every row as runs.
    palette = quad((64, 48)).quantize(4)
    indexes = numpy.asarray(palette)[::-1]
    data = b"".join(bytes([32, row[0], 32, row[63], 0, 0]) for row in indexes.tolist()) + b"\0\1"
    colours = palette.getpalette()[:12]
    table = b"".join(bytes([colours[at + 2], colours[at + 1], colours[at], 0]) for at in range(0, 12, 3))
    head = struct.pack("<IiiHHIIiiII", 40, 64, 48, 1, 8, 1, len(data), 0, 0, 4, 0)
    offset = 14 + len(head) + len(table)
    (DATA / "rle8.bmp").write_bytes(
        b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + head + table + data
    )
    for name in ["24", "8", "1", "32", "top-down", "os2", "rle8"]:
        by_pillow(f"{name}.bmp")


class Directories:
    """Builds a TIFF file out of directories and blocks."""

    def __init__(self, magic=b"II*\0", after=b""):
        self.order = ">" if magic.startswith(b"MM") else "<"
        self.bytes = bytearray(magic + struct.pack(self.order + "I", 8 + len(after)) + after)
        self.pending = []

    def block(self, data):
        self.bytes += b"\0" * (len(self.bytes) % 2)
        at = len(self.bytes)
        self.bytes += data
        return at

    def directory(self, tags):
        """Appends a directory of (tag, type, values); returns its offset."""
        entries = []
        for tag, kind, values in sorted(tags):
            if isinstance(values, bytes):
                data, count = values, len(values)
            else:
                code = {1: "B", 3: "H", 4: "I"}[kind]
                data, count = struct.pack(self.order + code * len(values), *values), len(values)
            if len(data) > 4:
                data = struct.pack(self.order + "I", self.block(data))
            entries.append(struct.pack(self.order + "HHI", tag, kind, count) + data.ljust(4, b"\0"))
        return self.block(struct.pack(self.order + "H", len(entries)) + b"".join(entries) + b"\0" * 4)

    def first(self, offset):
        self.bytes[4:8] = struct.pack(self.order + "I", offset)
        return bytes(self.bytes)


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, **options)
    return out.getvalue()


def strip(at, length, size, compression, photometric, bits, subfile):
    return [
        (254, 4, [subfile]), (256, 4, [size[0]]), (257, 4, [size[1]]), (258, 3, bits), (259, 3, [compression]),
        (262, 3, [photometric]), (273, 4, [at]), (277, 3, [len(bits)]), (278, 4, [size[1]]), (279, 4, [length]),
    ]


def raws():
    preview, thumbnail = jpeg(quad()), jpeg(quad((160, 120)))
    small = quad((64, 48)).tobytes()
    sensor = bytes(range(256)) * 48

    # DNG as the converter of Adobe writes it: a thumbnail, the sensor, and a preview.
    file = Directories()
    rgb = file.block(small)
    cfa, at = file.block(sensor), file.block(preview)
    children = [
        file.directory(strip(cfa, len(sensor), (128, 96), 1, 32803, [8], 0)),
        file.directory(strip(at, len(preview), (320, 240), 7, 6, [8, 8, 8], 1)),
    ]
    tags = strip(rgb, len(small), (64, 48), 1, 2, [8, 8, 8], 1)
    tags += [(274, 3, [6]), (330, 4, children), (50706, 1, [1, 4, 0, 0])]
    (DATA / "adobe.dng").write_bytes(file.first(file.directory(tags)))

    # Nikon: big-endian, the preview by two tags of a directory below.
    file = Directories(b"MM\0*")
    rgb, at, cfa = file.block(small), file.block(preview), file.block(sensor)
    children = [
        file.directory([(254, 4, [1]), (259, 3, [6]), (513, 4, [at]), (514, 4, [len(preview)])]),
        file.directory(strip(cfa, len(sensor), (128, 96), 34713, 32803, [14], 0)),
    ]
    tags = strip(rgb, len(small), (64, 48), 1, 2, [8, 8, 8], 1)
    tags += [(271, 2, b"NIKON CORPORATION\0"), (274, 3, [8]), (330, 4, children)]
    (DATA / "nikon.nef").write_bytes(file.first(file.directory(tags)))

    # Sony: the preview in the first directory; the thumbnail is a JPEG of its own.
    file = Directories()
    at, cfa = file.block(preview), file.block(sensor)
    child = file.directory(strip(cfa, len(sensor), (128, 96), 32767, 32803, [12], 0))
    tags = [(254, 4, [1]), (259, 3, [6]), (271, 2, b"SONY\0"), (274, 3, [1]), (330, 4, [child])]
    tags += [(513, 4, [at]), (514, 4, [len(preview)])]
    (DATA / "sony.arw").write_bytes(file.first(file.directory(tags)))

    # Canon: the full-size JPEG is the strip of the first directory.
    file = Directories(after=b"CR\2\0\0\0\0\0")
    at, thumb = file.block(preview), file.block(thumbnail)
    tags = strip(at, len(preview), (320, 240), 6, 6, [8, 8, 8], 0)
    tags += [(271, 2, b"Canon\0"), (274, 3, [1]), (513, 4, [thumb]), (514, 4, [len(thumbnail)])]
    (DATA / "canon.cr2").write_bytes(file.first(file.directory(tags)))

    # Canon CR3: boxes; the JPEG is in the media data, the orientation in a box of its own.
    def box(kind, *content):
        content = b"".join(content)
        return struct.pack(">I", 8 + len(content)) + kind + content

    exif = Directories()
    exif = exif.first(exif.directory([(271, 2, b"Canon\0"), (274, 3, [3])]))
    meta = box(b"moov", box(b"uuid", bytes(16), box(b"CMT1", exif), box(b"THMB", bytes(16), thumbnail)))
    (DATA / "canon.cr3").write_bytes(
        box(b"ftyp", b"crx \0\0\0\1crx isom") + meta + box(b"mdat", preview, sensor)
    )

    # Fujifilm: the offset and length of the JPEG are at fixed places.
    head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">II", 160, len(preview))
    turned = jpeg(quad(), exif=exif_with(6))
    head = head[:84] + struct.pack(">II", 160, len(turned))
    (DATA / "fuji.raf").write_bytes(head.ljust(160, b"\0") + turned + sensor)

    # Panasonic: a tag with the whole JPEG. Olympus: a JPEG to which only the maker's note refers.
    file = Directories(b"IIU\0")
    (DATA / "panasonic.rw2").write_bytes(file.first(file.directory([(274, 3, [1]), (0x2E, 7, preview)])))
    file = Directories(b"IIRO")
    file.block(thumbnail)
    file.block(preview)
    cfa = file.block(sensor)
    tags = strip(cfa, len(sensor), (128, 96), 1, 1, [16], 0) + [(271, 2, b"OLYMPUS\0"), (274, 3, [1])]
    (DATA / "olympus.orf").write_bytes(file.first(file.directory(tags)))

    # Without a preview of a useful size.
    file = Directories()
    rgb = file.block(small)
    tags = strip(rgb, len(small), (64, 48), 1, 2, [8, 8, 8], 1) + [(50706, 1, [1, 4, 0, 0])]
    (DATA / "refused-thumbnail.dng").write_bytes(file.first(file.directory(tags)))

    shown = Image.open(io.BytesIO(preview)).convert("RGB")
    turns = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
    for name, orientation in [("adobe.dng", 6), ("nikon.nef", 8), ("sony.arw", 1), ("canon.cr2", 1), ("canon.cr3", 3),
                              ("fuji.raf", 6), ("panasonic.rw2", 1), ("olympus.orf", 1)]:
        turn = turns[orientation]
        expect(name, shown if turn is None else shown.transpose(turn), "Pillow", 1, orientation)


def exif_with(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def linear_to_srgb(linear):
    linear = numpy.clip(linear, 0, 1)
    return numpy.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def heics():
    cat = demo("cat", (200, 150))
    quad().save(DATA / "profile.heic", quality=90, icc_profile=P3)
    by_pillow("profile.heic")
    quad().save(DATA / "turned.heic", quality=90, exif=exif_with(6).tobytes())
    by_pillow("turned.heic")
    quad((321, 239)).save(DATA / "odd-size.heic", quality=90)
    by_pillow("odd-size.heic")
    file = pillow_heif.from_pillow(quad())
    file.add_from_pillow(demo("coffee", (160, 120)))
    file.save(DATA / "second-is-primary.heic", quality=90, primary_index=1)
    by_pillow("second-is-primary.heic")
    with_alpha = quad()
    with_alpha.putalpha(Image.linear_gradient("L").rotate(90).resize((320, 240)))
    with_alpha.save(DATA / "alpha.heic", quality=90)
    by_pillow("alpha.heic")
    cat.convert("L").save(DATA / "gray.heic", quality=90)
    by_pillow("gray.heic")
    cat.save(DATA / "full-chroma.heic", quality=90, chroma=444)
    by_pillow("full-chroma.heic")
    ten_bits = numpy.asarray(cat).astype(numpy.uint16) * 257
    pillow_heif.options.SAVE_HDR_TO_12_BIT = False
    pillow_heif.encode("RGB;16", cat.size, ten_bits.tobytes(), str(DATA / "ten-bits.heic"), quality=90)
    by_pillow("ten-bits.heic")
    pillow_heif.options.SAVE_HDR_TO_12_BIT = True
    pillow_heif.encode("RGB;16", cat.size, ten_bits.tobytes(), str(DATA / "twelve-bits.heic"), quality=90)
    by_pillow("twelve-bits.heic")
    pillow_heif.options.SAVE_HDR_TO_12_BIT = False
    hdr()
    if (DATA / "grid.heic").exists():
        by_pillow("grid.heic")


def avifenc(file, image, *options):
    """AVIF as libavif's own encoder writes it: Pillow cannot write its boxes."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.png"
        image.save(source)
        command = ["avifenc", "--jobs", "1", "--speed", "4", "--min", "2", "--max", "8", *options, source, DATA / file]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def ramp(image):
    """The image with an opacity from 0 at the left to 255 at the right."""
    image = image.copy()
    image.putalpha(Image.linear_gradient("L").rotate(90).resize(image.size))
    return image


def avifs():
    cat = demo("cat", (200, 150))
    exif = exif_with(1)
    exif[0x010F] = "Glimpse"
    quad().save(DATA / "profile.avif", quality=90, icc_profile=P3, exif=exif.tobytes())
    by_pillow("profile.avif")
    # Pillow reports the rotation as EXIF and does not mirror, so the boxes are applied to the source.
    avifenc("turned.avif", quad(), "--irot", "1", "--imir", "1")
    turned = quad().transpose(Image.Transpose.ROTATE_90).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    expect("turned.avif", turned, "source")
    avifenc("cropped.avif", quad(), "--crop", "50,30,160,120")
    expect("cropped.avif", quad().crop((50, 30, 210, 150)), "source")
    avifenc("grid.avif", quad((512, 384)), "--grid", "2x2")
    by_pillow("grid.avif")
    for chroma in ["400", "420", "422", "444"]:
        for depth in ["8", "10", "12"]:
            file = f"yuv{chroma}-{depth}.avif"
            samples = "limited" if depth == "10" else "full"
            avifenc(file, quad((96, 72)), "--yuv", chroma, "--depth", depth, "--range", samples)
            by_pillow(file)
    avifenc("identity.avif", cat, "--yuv", "444", "--cicp", "1/13/0")
    by_pillow("identity.avif")
    for matrix, samples in [("1", "limited"), ("6", "limited"), ("8", "full"), ("9", "limited")]:
        cicp = f"1/13/{matrix}"
        avifenc(f"matrix-{matrix}.avif", quad((96, 72)), "--yuv", "444", "--cicp", cicp, "--range", samples)
        # The integer coefficients of Pillow's libyuv are up to 10 off for the limited range of BT.709 and BT.2020.
        expect(f"matrix-{matrix}.avif", quad((96, 72)), "source")
    ramp(quad()).save(DATA / "alpha.avif", quality=90)
    by_pillow("alpha.avif")
    avifenc("premultiplied.avif", ramp(quad()), "--premultiply")
    expect("premultiplied.avif", over_white(ramp(quad())), "source")
    quad((160, 120)).save(DATA / "animated.avif", quality=90, save_all=True, append_images=[demo("coffee", (160, 120))])
    by_pillow("animated.avif")
    hdr("avif")


def jxls():
    cat = demo("cat", (200, 150))

    def encode(file, pixels, turn=None, thumbnail=None, **options):
        (DATA / file).write_bytes(imagecodecs.jpegxl_encode(numpy.asarray(pixels), **options))
        pixels = imagecodecs.jpegxl_decode((DATA / file).read_bytes())
        if pixels.dtype == numpy.uint16:
            pixels = (pixels >> (8 if pixels.max() > 4095 else 4)).astype(numpy.uint8)
        if pixels.dtype == numpy.float32:
            pixels = numpy.round(pixels * 255).astype(numpy.uint8)
        expect(file, over_white(Image.fromarray(numpy.squeeze(pixels))), "imagecodecs")

    encode("lossy.jxl", cat, distance=1)
    encode("lossless.jxl", cat, lossless=True)
    encode("gray.jxl", cat.convert("L"), distance=1)
    encode("alpha.jxl", ramp(quad()), lossless=True)
    # imagecodecs would declare linear light.
    cjxl("deep.jxl", numpy.asarray(quad((96, 72))).astype(numpy.uint16) * 257, "RGB_D65_SRG_Rel_SRG")
    expect("deep.jxl", quad((96, 72)), "source")
    encode("container.jxl", quad((96, 72)), distance=1, usecontainer=True)
    # A JPEG inside: its colours are coded as they were, and its orientation becomes that of the codestream.
    (DATA / "turned.jxl").write_bytes(imagecodecs.jpegxl_encode_jpeg(jpeg(quad(), exif=exif_with(6))))
    expect("turned.jxl", quad().transpose(Image.Transpose.ROTATE_270), "source")
    (DATA / "profile.jxl").write_bytes(imagecodecs.jpegxl_encode_jpeg(jpeg(quad(), icc_profile=P3)))
    srgb = ImageCms.profileToProfile(
        quad(), io.BytesIO(P3), ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    expect("profile.jxl", quad(), "source", thumbnail=srgb)
    frames = numpy.stack([numpy.asarray(quad((96, 72))), numpy.asarray(demo("coffee", (96, 72)))])
    (DATA / "animated.jxl").write_bytes(imagecodecs.jpegxl_encode(frames, lossless=True))
    expect("animated.jxl", quad((96, 72)), "source")
    hdr("jxl")


def mutation():
    """Small files of HEIC, AVIF and JPEG XL that tests/it/imaging/mutation.rs changes at random."""
    folder = ROOT / "tests" / "data" / "mutation"
    small = demo("cat", (67, 49))
    small.save(folder / "plain.heic", quality=60, icc_profile=P3, exif=exif_with(6).tobytes())
    with_alpha = small.copy()
    with_alpha.putalpha(Image.linear_gradient("L").resize(small.size))
    with_alpha.save(folder / "alpha.heic", quality=60)
    deep = (numpy.asarray(small).astype(numpy.uint16) * 257).tobytes()
    pillow_heif.encode("RGB;16", small.size, deep, str(folder / "ten-bits.heic"), quality=60, chroma=444)
    pillow_heif.encode("RGB;16", small.size, deep, str(folder / "hdr.heic"), quality=60, color_primaries=9,
                       transfer_characteristics=16, matrix_coefficients=9, full_range_flag=0)


def large():
    """64 megapixels in few bytes, for the tests of limits."""
    flat = numpy.full((8192, 8192, 3), (200, 30, 30), numpy.uint8)
    file = ROOT / "tests" / "data" / "faults" / "large.jxl"
    file.write_bytes(imagecodecs.jpegxl_encode(flat, distance=3))


def mutation_isolated():
    """The same of AVIF and JPEG XL."""
    folder = ROOT / "tests" / "data" / "mutation"
    small = demo("cat", (67, 49))
    small.save(folder / "plain.avif", quality=60, icc_profile=P3)
    ramp(small).save(folder / "alpha.avif", quality=60)
    deep = numpy.asarray(small).astype(numpy.uint16) >> 0 << 2
    (folder / "hdr.avif").write_bytes(
        imagecodecs.avif_encode(deep, level=60, bitspersample=10, primaries=9, transfer=16, matrix=9)
    )
    (folder / "lossy.jxl").write_bytes(imagecodecs.jpegxl_encode(numpy.asarray(small), distance=2))
    (folder / "alpha.jxl").write_bytes(
        imagecodecs.jpegxl_encode(numpy.asarray(ramp(small)), lossless=True, usecontainer=True)
    )


def cjxl(file, samples, space):
    """JPEG XL in another space than sRGB."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.png"
        source.write_bytes(imagecodecs.png_encode(samples))
        command = ["cjxl", source, DATA / file, "-d", "0", "-x", f"color_space={space}", "--quiet"]
        subprocess.run(command, check=True)


def hdr(kind="heic"):
    """PQ and HLG in BT.2020: patches at and below the white of BT.2408, which both keep, and one far above it."""
    light = numpy.array([0.02, 0.1, 0.25, 0.5, 0.75, 1.0])
    nits = numpy.repeat(numpy.repeat(light, 32)[None, :], 64, axis=0) * 203
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (nits / 10000) ** m1
    pq = ((c1 + c2 * power) / (1 + c3 * power)) ** m2
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    # The inverse of the system gamma of 1.2 at 1,000 cd/m2, on gray.
    scene = (nits / 1000) ** (1 / 1.2)
    hlg = numpy.where(scene <= 1 / 12, numpy.sqrt(3 * scene), a * numpy.log(numpy.maximum(12 * scene - b, 1e-9)) + c)
    # Light up to half of white is kept; above, a curve maps 1,000 cd/m2 to white (src/imaging/tone.rs).
    knee, peak = 0.5, 1000 / 203
    slope = (peak - knee) / (1 - knee)
    part = (nits / 203 - knee) / (peak - knee)
    mapped = numpy.where(nits / 203 <= knee, nits / 203, knee + (1 - knee) * slope * part / (1 + (slope - 1) * part))
    shown = numpy.round(linear_to_srgb(mapped) * 255).astype(numpy.uint8)
    shown = Image.fromarray(numpy.repeat(shown[:, :, None], 3, axis=2))
    for name, transfer, signal in [("pq", 16, pq), ("hlg", 18, hlg)]:
        if kind == "avif":
            samples = numpy.round(numpy.repeat(signal[:, :, None], 3, axis=2) * 1023).astype(numpy.uint16)
            (DATA / f"{name}.avif").write_bytes(
                imagecodecs.avif_encode(samples, level=95, bitspersample=10, primaries=9, transfer=transfer, matrix=9)
            )
            expect(f"{name}.avif", shown, "formula")
            continue
        if kind == "jxl":
            samples = numpy.round(numpy.repeat(signal[:, :, None], 3, axis=2) * 65535).astype(numpy.uint16)
            cjxl(f"{name}.jxl", samples, "RGB_D65_202_Rel_PeQ" if name == "pq" else "RGB_D65_202_Rel_HLG")
            expect(f"{name}.jxl", shown, "formula")
            continue
        samples = numpy.round(numpy.repeat(signal[:, :, None], 3, axis=2) * 65535).astype(numpy.uint16)
        pillow_heif.encode("RGB;16", (192, 64), samples.tobytes(), str(DATA / f"{name}.heic"), quality=-1,
                           color_primaries=9, transfer_characteristics=transfer, matrix_coefficients=9,
                           full_range_flag=1)
        expect(f"{name}.heic", shown, "formula")


# Files of the corpus that Pillow refuses or reads otherwise, and what is expected of them.
OTHERWISE = {
    "Pillow__lab.tif": ("error", "unsupported_format"),
    "Pillow__bmp__b__badwidth.bmp": ("error", "too_many_pixels"),
    "Pillow__bmp__b__reallybig.bmp": ("error", "too_many_pixels"),
    "Pillow__l2rgb_read.bmp": ("error", "too_many_pixels"),
    "image__bmp__images__lenient__badpalettesize.bmp": ("either", "corrupt"),
    "image__bmp__images__lenient__badrle.bmp": ("either", "corrupt"),
}


def corpus(folder):
    """The same facts as in the corpus' expected.json."""
    entries = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".tif", ".tiff", ".bmp", ".heic", ".heif"):
            continue
        entry = {"file": path.name}
        if path.name in OTHERWISE:
            entry["expect"], entry["class"] = OTHERWISE[path.name]
            entries.append(entry)
            continue
        with Image.open(path) as image:
            image.load()
            if image.mode == "I;16":
                upright = Image.fromarray((numpy.asarray(image) >> 8).astype(numpy.uint8)).convert("RGB")
            else:
                upright = over_white(ImageOps.exif_transpose(image))
        entry |= {"expect": "picture", "width": upright.width, "height": upright.height}
        # Nothing of this file may be copied (AGPL): only its size is compared.
        if not path.name.startswith("test-assets"):
            entry["grid"] = list(upright.resize((16, 16), Image.Resampling.BOX).tobytes())
        entries.append(entry)
    lines = ",\n".join("  " + json.dumps(entry) for entry in entries)
    (DATA / "corpus.json").write_text(f"[\n{lines}\n]\n")


def main():
    DATA.mkdir(exist_ok=True)
    every = [tiffs, parts_of_files, bmps, raws, heics, avifs, jxls, large, mutation, mutation_isolated]
    wanted = [function for function in every if function.__name__ in sys.argv[1:]]
    if len(sys.argv) > 1 and not wanted:
        corpus(Path(sys.argv[1]))
        return
    for function in wanted or every:
        function()
    if wanted:
        made = {entry["file"] for entry in ALL}
        old = json.loads((DATA / "expected.json").read_text())
        ALL[:0] = [entry for entry in old if entry["file"] not in made]
    lines = ",\n".join("  " + json.dumps(entry) for entry in ALL)
    (DATA / "expected.json").write_text(f"[\n{lines}\n]\n")
    print(len(ALL), "files,", sum(file.stat().st_size for file in DATA.iterdir()), "bytes")


if __name__ == "__main__":
    main()
