use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, Frame, GrayImage, ImageBuffer, ImageFormat as Foreign, Rgb, RgbImage, Rgba, RgbaImage};

use super::*;
use crate::domain::{FailureClass, ImageFormat};
use crate::imaging::{decoded_size, exif, validate_image};

const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_decode_bytes: 1 << 23 };
const SMALL: Preprocessing = Preprocessing::crop(8);

fn image(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([u8::try_from(x * 255 / width).unwrap(), u8::try_from(y * 255 / height).unwrap(), 40])
    })
}

fn encoded(image: impl Into<DynamicImage>, format: Foreign) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn class(bytes: &[u8]) -> FailureClass {
    prepare(bytes, &LIMITS, &SMALL).unwrap_err().class()
}

fn first_pixel(bytes: &[u8]) -> [u8; 3] {
    prepare(bytes, &LIMITS, &SMALL).unwrap().image.rgb[..3].try_into().unwrap()
}

#[test]
fn every_format_gives_its_facts_and_a_square() {
    for (format, ours) in [
        (Foreign::Jpeg, ImageFormat::Jpeg),
        (Foreign::Png, ImageFormat::Png),
        (Foreign::WebP, ImageFormat::Webp),
        (Foreign::Gif, ImageFormat::Gif),
    ] {
        let bytes = encoded(image(31, 20), format);
        let Prepared { image, meta, .. } = prepare(&bytes, &LIMITS, &SMALL).unwrap();
        assert_eq!((meta.format, meta.width, meta.height), (ours, 31, 20));
        assert_eq!((meta.frames, meta.orientation), (1, 1));
        assert_eq!((image.size, image.rgb.len()), (8, 8 * 8 * 3));
        assert_eq!(validate_image(&bytes, &LIMITS), Ok(meta));
        assert!(decoded_size(&bytes, &LIMITS).unwrap() >= 31 * 20 * 3);
    }
}

#[test]
fn a_cut_file_is_truncated_wherever_it_was_cut() {
    for format in [Foreign::Jpeg, Foreign::Png, Foreign::WebP, Foreign::Gif] {
        let bytes = encoded(image(60, 50), format);
        let whole = prepare(&bytes, &LIMITS, &SMALL).unwrap();
        for share in [2, 5, 10, 30, 50, 70, 90, 97] {
            let cut = &bytes[..bytes.len() * share / 100];
            match prepare(cut, &LIMITS, &SMALL) {
                // What is cut off may be no more than the file's end.
                Ok(image) => assert_eq!(image, whole, "{format:?} at {share} %"),
                Err(error) => assert!(
                    error.class() == FailureClass::Truncated
                        || (error.class() == FailureClass::UnsupportedFormat && cut.len() < 12),
                    "{format:?} at {share} %: {error}"
                ),
            }
        }
    }
}

#[test]
fn a_jpeg_that_lacks_nothing_but_its_end_marker_is_a_image() {
    // Too large for the image to be reduced: whether its end is there is the full decoder's question.
    let fully = Preprocessing::crop(24);
    let bytes = encoded(image(60, 50), Foreign::Jpeg);
    let whole = prepare(&bytes, &LIMITS, &fully).unwrap();
    assert_eq!(prepare(&bytes[..bytes.len() - 2], &LIMITS, &fully).unwrap(), whole);
    assert_eq!(prepare(&[&bytes[..], b"\0\0trailing"].concat(), &LIMITS, &fully).unwrap(), whole);
    assert_eq!(class(&bytes[..bytes.len() - 8]), FailureClass::Truncated);
}

/// Found by the fuzz target: the sum of what two scans promise went over a byte.
#[test]
fn a_jpeg_whose_scans_promise_more_than_there_can_be_is_no_panic() {
    let bytes = encoded(image(60, 50), Foreign::Jpeg);
    let scan = memchr::memmem::find(&bytes, b"\xFF\xDA").unwrap();
    let promising = b"\xFF\xDA\0\x03\xFF".repeat(2);
    let file = [&bytes[..scan], &promising, &bytes[scan..bytes.len() - 2]].concat();
    assert_eq!(class(&file), FailureClass::Corrupt);
}

#[test]
fn a_jpeg_with_junk_between_its_headers_is_a_image() {
    let bytes = encoded(image(60, 50), Foreign::Jpeg);
    let whole = prepare(&bytes, &LIMITS, &SMALL).unwrap();
    let junk = [&bytes[..2], b"\xFF\xEE\0\x04xx\0\0\0\0\0", &bytes[2..]].concat();
    assert_eq!(prepare(&junk, &LIMITS, &SMALL).unwrap(), whole);
}

#[test]
fn noise_under_a_good_name_is_corrupt() {
    let mut png = encoded(image(60, 50), Foreign::Png);
    let middle = png.len() / 2;
    png[middle..middle + 8].fill(0xAA);
    assert_eq!(class(&png), FailureClass::Corrupt);
    assert_eq!(class(b"GIF89a\0\0\x01\0\0\0\0;"), FailureClass::Corrupt);
    assert_eq!(class(b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\0\0\0\0"), FailureClass::Corrupt);
    assert_eq!(class(b"hello"), FailureClass::UnsupportedFormat);
}

#[test]
fn limits_come_before_the_decode() {
    let bytes = encoded(image(100, 100), Foreign::Png);
    let with = |limits: Limits| prepare(&bytes, &limits, &SMALL).unwrap_err();
    assert_eq!(with(Limits { max_bytes: 10, ..LIMITS }).class(), FailureClass::TooLarge);
    assert!(with(Limits { max_pixels: 9_999, ..LIMITS }).to_string().contains("IMAGE_MAX_PIXELS"));
    assert!(with(Limits { max_decode_bytes: 10_000, ..LIMITS }).to_string().contains("IMAGE_MAX_DECODE_MB"));
    // A header alone, promising 100,000 x 100,000.
    let mut bomb = bytes[..33].to_vec();
    bomb[16..24].copy_from_slice(&[0, 1, 0x86, 0xA0, 0, 1, 0x86, 0xA0]);
    assert_eq!(class(&bomb), FailureClass::TooManyPixels);
}

#[test]
fn the_image_is_turned_upright() {
    // Left half red, right half blue; stored as orientation 6, upright it has red above.
    let stored = RgbImage::from_fn(40, 20, |x, _| if x < 20 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    image::ImageEncoder::set_exif_metadata(&mut encoder, exif::block(6)).unwrap();
    encoder.encode_image(&stored).unwrap();
    let Prepared { image, meta, .. } = prepare(&bytes, &LIMITS, &SMALL).unwrap();
    assert_eq!((meta.width, meta.height, meta.orientation), (20, 40, 6));
    let (above, below) = (&image.rgb[..3], &image.rgb[7 * 8 * 3..][..3]);
    assert!(above[0] > 200 && above[2] < 50, "{above:?}");
    assert!(below[2] > 200 && below[0] < 50, "{below:?}");
}

#[test]
fn transparency_shows_white_in_every_format_that_has_it() {
    let clear = RgbaImage::from_pixel(10, 10, Rgba([0, 0, 0, 0]));
    for format in [Foreign::Png, Foreign::WebP, Foreign::Gif] {
        assert_eq!(first_pixel(&encoded(clear.clone(), format)), [255; 3], "{format:?}");
    }
}

#[test]
fn gray_and_deep_images_become_rgb() {
    assert_eq!(first_pixel(&encoded(GrayImage::from_pixel(9, 9, image::Luma([77])), Foreign::Png)), [77; 3]);
    assert_eq!(first_pixel(&encoded(GrayImage::from_pixel(9, 9, image::Luma([77])), Foreign::Jpeg)), [77; 3]);
    let deep = ImageBuffer::<Rgb<u16>, Vec<u16>>::from_pixel(9, 9, Rgb([0xFFFF, 0x8080, 0]));
    assert_eq!(first_pixel(&encoded(deep, Foreign::Png)), [255, 128, 0]);
}

#[test]
fn of_an_animation_the_first_frame_is_taken_and_all_are_counted() {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for value in [250, 10, 10] {
        let frame = Frame::new(RgbaImage::from_pixel(12, 12, Rgba([value, value, value, 255])));
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    let Prepared { image, meta, .. } = prepare(&bytes, &LIMITS, &SMALL).unwrap();
    assert_eq!(meta.frames, 3);
    assert!(image.rgb[0] > 240);
}

#[test]
fn the_demo_photographs_are_images() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/demo");
    let limits = Limits { max_bytes: 1 << 26, max_pixels: 1 << 26, max_decode_bytes: 1 << 29 };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "jpg") {
            let prepared = prepare(&std::fs::read(&path).unwrap(), &limits, &Preprocessing::crop(260));
            assert_eq!(prepared.unwrap().image.rgb.len(), 260 * 260 * 3, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 20);
}
