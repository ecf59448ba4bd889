use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, Frame, GrayImage, ImageBuffer, ImageFormat as Foreign, Rgb, RgbImage, Rgba, RgbaImage};

use super::*;
use crate::domain::{FailureClass, ImageFormat};
use crate::imaging::facts::exif;
use crate::imaging::{THUMBNAIL_SIDE, UprightImage, preview_size, validate_image};

const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_decode_bytes: 1 << 23 };
const SMALL: Preprocessing = Preprocessing::crop(8);

fn image(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([u8::try_from(x * 255 / width).unwrap(), u8::try_from(y * 255 / height).unwrap(), 40])
    })
}

fn encode(image: impl Into<DynamicImage>, format: Foreign) -> Vec<u8> {
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
fn every_format_gives_its_metadata_and_a_square() {
    for (format, expected) in [
        (Foreign::Jpeg, ImageFormat::Jpeg),
        (Foreign::Png, ImageFormat::Png),
        (Foreign::WebP, ImageFormat::Webp),
        (Foreign::Gif, ImageFormat::Gif),
    ] {
        let bytes = encode(image(31, 20), format);
        let Prepared { image, meta, .. } = prepare(&bytes, &LIMITS, &SMALL).unwrap();
        assert_eq!((meta.format, meta.width, meta.height), (expected, 31, 20));
        assert_eq!((meta.frames, meta.orientation), (1, 1));
        assert_eq!((image.size, image.rgb.len()), (8, 8 * 8 * 3));
        assert_eq!(validate_image(&bytes, &LIMITS), Ok(meta));
        assert!(preview_size(&bytes, &LIMITS, THUMBNAIL_SIDE).unwrap() >= 31 * 20 * 3);
    }
}

#[test]
fn a_cut_file_is_reported_as_truncated_at_every_length() {
    for format in [Foreign::Jpeg, Foreign::Png, Foreign::WebP, Foreign::Gif] {
        let bytes = encode(image(60, 50), format);
        let whole = prepare(&bytes, &LIMITS, &SMALL).unwrap();
        for share in [2, 5, 10, 30, 50, 70, 90, 97] {
            let cut = &bytes[..bytes.len() * share / 100];
            match prepare(cut, &LIMITS, &SMALL) {
                // The missing part can be just the end of the file.
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
fn a_jpeg_that_lacks_only_its_end_marker_is_decoded() {
    // The target size is so large that the image is not reduced: only the full decoder accepts a missing end.
    let fully = Preprocessing::crop(24);
    let bytes = encode(image(60, 50), Foreign::Jpeg);
    let whole = prepare(&bytes, &LIMITS, &fully).unwrap();
    assert_eq!(prepare(&bytes[..bytes.len() - 2], &LIMITS, &fully).unwrap(), whole);
    assert_eq!(prepare(&[&bytes[..], b"\0\0trailing"].concat(), &LIMITS, &fully).unwrap(), whole);
    assert_eq!(class(&bytes[..bytes.len() - 8]), FailureClass::Truncated);
}

/// Found by the fuzz target: the sum of the component counts of two scans overflowed a byte.
#[test]
fn a_jpeg_whose_scans_declare_too_many_components_does_not_panic() {
    let bytes = encode(image(60, 50), Foreign::Jpeg);
    let scan = memchr::memmem::find(&bytes, b"\xFF\xDA").unwrap();
    let scans = b"\xFF\xDA\0\x03\xFF".repeat(2);
    let file = [&bytes[..scan], &scans, &bytes[scan..bytes.len() - 2]].concat();
    assert_eq!(class(&file), FailureClass::Corrupt);
}

#[test]
fn a_jpeg_with_junk_between_its_headers_is_decoded() {
    let bytes = encode(image(60, 50), Foreign::Jpeg);
    let whole = prepare(&bytes, &LIMITS, &SMALL).unwrap();
    let with_junk = [&bytes[..2], b"\xFF\xEE\0\x04xx\0\0\0\0\0", &bytes[2..]].concat();
    assert_eq!(prepare(&with_junk, &LIMITS, &SMALL).unwrap(), whole);
}

#[test]
fn invalid_data_after_a_valid_signature_is_corrupt() {
    let mut png = encode(image(60, 50), Foreign::Png);
    let middle = png.len() / 2;
    png[middle..middle + 8].fill(0xAA);
    assert_eq!(class(&png), FailureClass::Corrupt);
    assert_eq!(class(b"GIF89a\0\0\x01\0\0\0\0;"), FailureClass::Corrupt);
    assert_eq!(class(b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\0\0\0\0"), FailureClass::Corrupt);
    assert_eq!(class(b"hello"), FailureClass::UnsupportedFormat);
}

#[test]
fn limits_are_checked_before_decoding() {
    let bytes = encode(image(100, 100), Foreign::Png);
    let error_with = |limits: Limits| prepare(&bytes, &limits, &SMALL).unwrap_err();
    assert_eq!(error_with(Limits { max_bytes: 10, ..LIMITS }).class(), FailureClass::TooLarge);
    assert!(error_with(Limits { max_pixels: 9_999, ..LIMITS }).to_string().contains("IMAGE_MAX_PIXELS"));
    assert!(error_with(Limits { max_decode_bytes: 10_000, ..LIMITS }).to_string().contains("IMAGE_MAX_DECODE_MB"));
    // Only a header, which declares 100,000 x 100,000 pixels.
    let mut bomb = bytes[..33].to_vec();
    bomb[16..24].copy_from_slice(&[0, 1, 0x86, 0xA0, 0, 1, 0x86, 0xA0]);
    assert_eq!(class(&bomb), FailureClass::TooManyPixels);
}

#[test]
fn the_orientation_is_applied() {
    // The left half is red and the right half is blue. With orientation 6, the upright image is red above.
    let decoded = RgbImage::from_fn(40, 20, |x, _| if x < 20 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    image::ImageEncoder::set_exif_metadata(&mut encoder, exif::block(6)).unwrap();
    encoder.encode_image(&decoded).unwrap();
    let Prepared { image, meta, .. } = prepare(&bytes, &LIMITS, &SMALL).unwrap();
    assert_eq!((meta.width, meta.height, meta.orientation), (20, 40, 6));
    let (above, below) = (&image.rgb[..3], &image.rgb[7 * 8 * 3..][..3]);
    assert!(above[0] > 200 && above[2] < 50, "{above:?}");
    assert!(below[2] > 200 && below[0] < 50, "{below:?}");
}

#[test]
fn transparent_pixels_become_white_in_every_format() {
    let clear = RgbaImage::from_pixel(10, 10, Rgba([0, 0, 0, 0]));
    for format in [Foreign::Png, Foreign::WebP, Foreign::Gif] {
        assert_eq!(first_pixel(&encode(clear.clone(), format)), [255; 3], "{format:?}");
    }
}

#[test]
fn gray_and_deep_images_become_rgb() {
    assert_eq!(first_pixel(&encode(GrayImage::from_pixel(9, 9, image::Luma([77])), Foreign::Png)), [77; 3]);
    assert_eq!(first_pixel(&encode(GrayImage::from_pixel(9, 9, image::Luma([77])), Foreign::Jpeg)), [77; 3]);
    let deep = ImageBuffer::<Rgb<u16>, Vec<u16>>::from_pixel(9, 9, Rgb([0xFFFF, 0x8080, 0]));
    assert_eq!(first_pixel(&encode(deep, Foreign::Png)), [255, 128, 0]);
}

#[test]
fn the_first_frame_of_an_animation_is_decoded_and_all_frames_are_counted() {
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
fn the_demo_images_are_decoded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/demo");
    let limits = Limits { max_bytes: 1 << 26, max_pixels: 1 << 26, max_decode_bytes: 1 << 29 };
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "jpg") {
            let prepared = prepare(&std::fs::read(&path).unwrap(), &limits, &Preprocessing::crop(260));
            assert_eq!(prepared.unwrap().image.rgb.len(), 260 * 260 * 3, "{}", path.display());
            count += 1;
        }
    }
    assert!(count > 20);
}

/// The same pixels in another format. Only a reduced decode may differ, by the bounds of ADR 0006.
#[test]
fn a_jpeg_and_a_png_of_its_pixels_are_prepared_alike() {
    let limits = crate::imaging::ImagingSettings::default().limits();
    for name in ["astronaut", "cat", "coins", "wrench", "galaxies"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("demo/{name}.jpg"));
        let jpeg = std::fs::read(path).unwrap();
        let UprightImage { meta, rgb } = upright::decode_upright(&jpeg, &limits).unwrap();
        let png = encode(RgbImage::from_raw(meta.width, meta.height, rgb.to_vec()).unwrap(), Foreign::Png);
        for target in ["crop-64-bilinear-floor", "crop-224-bicubic-floor", "crop-260-bicubic"] {
            let target = target.parse().unwrap();
            let rgb = |file: &[u8], decode| {
                prepare_with(file, &limits, &target, Extras { decode, ..Extras::default() }).unwrap().image.rgb
            };
            let full = rgb(&png, Decode::Fast);
            assert_eq!(rgb(&jpeg, Decode::Full), full, "{name} {target}");
            let reduced = rgb(&jpeg, Decode::Fast);
            let sum: usize = full.iter().zip(&reduced).map(|(a, b)| usize::from(a.abs_diff(*b))).sum();
            assert!(sum <= full.len() / 2, "{name} {target}: {sum} in {} values", full.len());
        }
    }
}
