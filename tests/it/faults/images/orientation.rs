use image::ImageFormat;

use super::files::{XMP, chunk, encoded, exif, jpeg_with, png_with, segment, zlib};
use super::{assert_near, decoded, pixel};

fn assert_six(name: &str, file: &[u8]) {
    let image = decoded(file).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((image.meta.width, image.meta.height, image.meta.orientation), (200, 320, 6), "{name}");
    // The stored left side is above, and the stored top is on the right.
    assert_near(name, pixel(&image, 50, 40), [220, 30, 30], 30);
    assert_near(name, pixel(&image, 50, 280), [30, 30, 220], 30);
    assert_near(name, pixel(&image, 190, 160), [30, 200, 30], 30);
}

/// As ImageMagick writes it.
fn raw_profile(kind: &str) -> Vec<u8> {
    let block = [b"Exif\0\0", &exif(3)[..]].concat();
    let digits = hex::encode(&block);
    let lines: Vec<&str> = digits.as_bytes().chunks(72).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("\n{kind}\n{:8}\n{}\n", block.len(), lines.join("\n")).into_bytes()
}

#[test]
fn orientation_is_read_wherever_a_png_holds_it() {
    let profile = raw_profile("exif");
    let keyed = |key: &str, head: &[u8], body: &[u8]| [key.as_bytes(), head, body].concat();
    let key = "Raw profile type exif";
    let xmp = "XML:com.adobe.xmp";
    for (name, kind, data) in [
        ("tEXt", b"tEXt", keyed(key, b"\0", &profile)),
        ("zTXt", b"zTXt", keyed(key, b"\0\0", &zlib(&profile))),
        ("iTXt", b"iTXt", keyed(key, b"\0\0\0en\0\0", &profile)),
        ("compressed iTXt", b"iTXt", keyed(key, b"\0\x01\0\0\0", &zlib(&profile))),
        ("zTXt APP1", b"zTXt", keyed("Raw profile type APP1", b"\0\0", &zlib(&raw_profile("APP1")))),
        ("eXIf", b"eXIf", exif(3)),
        ("eXIf with a prefix", b"eXIf", [b"Exif\0\0", &exif(4)[..]].concat()),
        ("XMP", b"iTXt", keyed(xmp, b"\0\0\0\0\0", XMP.as_bytes())),
        ("compressed XMP", b"iTXt", keyed(xmp, b"\0\x01\0\0\0", &zlib(XMP.as_bytes()))),
        ("XMP in zTXt", b"zTXt", keyed(xmp, b"\0\0", &zlib(XMP.as_bytes()))),
    ] {
        assert_six(name, &png_with(*kind, &data));
        let mut behind = encoded(ImageFormat::Png);
        let end = behind.len() - 12;
        behind.splice(end..end, chunk(*kind, &data));
        assert_six(&format!("{name} behind the pixels"), &behind);
    }
}

#[test]
fn orientation_is_read_wherever_a_jpeg_holds_it() {
    let app1 = |block: &[u8]| segment(0xE1, &[b"Exif\0\0", block].concat());
    let xmp = |packet: &str| segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", packet.as_bytes()].concat());
    let photoshop = segment(0xED, b"Photoshop 3.0\0");
    let no_tag = app1(b"II*\0\x08\0\0\0\0\0\0\0\0\0");
    let mut block = exif(3);
    let tail = block.split_off(14);
    for (name, segments) in [
        ("SHORT", app1(&exif(3))),
        ("LONG", app1(&exif(4))),
        ("BYTE", app1(&exif(1))),
        ("SLONG", app1(&exif(9))),
        ("big-endian", app1(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")),
        ("not the first segment", [photoshop, app1(&exif(3))].concat()),
        ("behind EXIF without the tag", [no_tag.clone(), app1(&exif(3))].concat()),
        ("cut into two segments", [app1(&block), app1(&tail)].concat()),
        ("before other XMP", [app1(&exif(3)), xmp("<a tiff:Orientation=\"3\"/>")].concat()),
        ("XMP attribute", xmp(XMP)),
        ("XMP element", xmp("<tiff:Orientation>6</tiff:Orientation>")),
        ("XMP behind EXIF without the tag", [no_tag, xmp(XMP)].concat()),
    ] {
        assert_six(name, &jpeg_with(&segments));
    }
    // Between the frame header and the scan.
    let mut late = encoded(ImageFormat::Jpeg);
    let scan = late.windows(2).position(|two| two == [0xFF, 0xDA]).unwrap();
    late.splice(scan..scan, app1(&exif(3)));
    assert_six("behind the frame header", &late);
}

#[test]
fn orientation_is_read_wherever_a_webp_holds_it() {
    let plain = encoded(ImageFormat::WebP);
    let riff = |kind: &[u8; 4], data: &[u8]| {
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        [&kind[..], &length, data, &[0][..data.len() % 2]].concat()
    };
    for (name, flag, kind, data) in [
        ("EXIF", 8, b"EXIF", exif(3)),
        ("EXIF with a prefix", 8, b"EXIF", [b"Exif\0\0", &exif(3)[..]].concat()),
        ("XMP", 4, b"XMP ", XMP.as_bytes().to_vec()),
    ] {
        let canvas = riff(b"VP8X", &[flag, 0, 0, 0, 63, 1, 0, 199, 0, 0]);
        let body = [b"WEBP", &canvas[..], &plain[12..], &riff(kind, &data)].concat();
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        assert_six(name, &[b"RIFF", &length[..], &body].concat());
    }
}
