use glimpse::imaging::{ImagingSettings, thumbnail};
use image::{ImageFormat, RgbImage};
use moxcms::{ColorProfile, ToneReprCurve};

use super::files::{chunk, encoded, flag_image, jpeg_with, png_with, segment, zlib};
use super::{assert_near, data, decoded, pixel};

fn small(name: &str, file: &[u8]) -> RgbImage {
    let jpeg = thumbnail(file, &ImagingSettings::default().limits()).unwrap_or_else(|error| panic!("{name}: {error}"));
    image::load_from_memory(&jpeg).unwrap().into_rgb8()
}

/// The colours on the left, on the right and above.
fn colours(image: &RgbImage) -> [[u8; 3]; 3] {
    let (width, height) = image.dimensions();
    [(width / 4, height * 3 / 4), (width * 3 / 4, height * 3 / 4), (width / 2, height / 16)]
        .map(|(x, y)| image.get_pixel(x, y).0)
}

const SRGB: [[u8; 3]; 3] = [[220, 30, 30], [30, 30, 220], [30, 200, 30]];

fn assert_colours(name: &str, file: &[u8], expected: [[u8; 3]; 3]) {
    for (ours, theirs) in colours(&small(name, file)).into_iter().zip(expected) {
        assert_near(name, ours, theirs, 8);
    }
}

fn icc_segment(icc: &[u8]) -> Vec<u8> {
    segment(0xE2, &[b"ICC_PROFILE\0\x01\x01", icc].concat())
}

#[test]
fn thumbnails_are_in_srgb_whatever_the_profile() {
    for name in ["colour-p3.jpg", "colour-adobe.jpg", "colour-prophoto.jpg"] {
        assert_colours(name, &data(name), SRGB);
    }
    let p3 = ColorProfile::new_display_p3().encode().unwrap();
    // By the matrices of both spaces.
    let from_p3 = [[240, 0, 0], [30, 30, 229], [0, 204, 0]];
    let (first, rest) = p3.split_at(100);
    let part = |number: u8, part: &[u8]| segment(0xE2, &[&b"ICC_PROFILE\0"[..], &[number, 2], part].concat());
    let in_parts = [part(2, rest), part(1, first)].concat();
    let webp = {
        let plain = encoded(ImageFormat::WebP);
        let body = [b"WEBPVP8X\x0a\0\0\0\x20\0\0\0\x3f\x01\0\xc7\0\0ICCP".to_vec(), {
            let length = u32::try_from(p3.len()).unwrap().to_le_bytes();
            [&length[..], &p3, &[0][..p3.len() % 2], &plain[12..]].concat()
        }]
        .concat();
        [b"RIFF", &u32::try_from(body.len()).unwrap().to_le_bytes()[..], &body].concat()
    };
    for (name, file) in [
        ("JPEG", jpeg_with(&icc_segment(&p3))),
        ("JPEG, two parts in the wrong order", jpeg_with(&in_parts)),
        ("PNG iCCP", png_with(*b"iCCP", &[b"P3\0\0", &zlib(&p3)[..]].concat())),
        ("PNG cICP", png_with(*b"cICP", &[12, 13, 0, 1])),
        ("WebP", webp),
    ] {
        assert_colours(name, &file, from_p3);
    }
}

#[test]
fn gamma_and_gray_profiles_are_converted() {
    // Linear samples: 30, 200 and 220 of 255 are this bright in sRGB.
    let [dark, green, bright] = [96, 229, 239];
    let linear = png_with(*b"gAMA", &100_000_u32.to_be_bytes());
    assert_colours("gAMA", &linear, [[bright, dark, dark], [dark, dark, bright], [dark, green, dark]]);
    let mut gray_profile = ColorProfile::new_gray_with_gamma(1.0);
    gray_profile.gray_trc = Some(ToneReprCurve::Lut(Vec::new()));
    let mut gray = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_pixel(64, 64, image::Luma([30])).write_to(&mut gray, ImageFormat::Png).unwrap();
    let mut gray = gray.into_inner();
    let icc = chunk(*b"iCCP", &[b"gray\0\0", &zlib(&gray_profile.encode().unwrap())[..]].concat());
    gray.splice(33..33, icc);
    assert_colours("gray profile", &gray, [[dark; 3]; 3]);
}

#[test]
fn without_a_usable_profile_thumbnails_stay_as_they_are() {
    let mut damaged = ColorProfile::new_display_p3().encode().unwrap();
    damaged.truncate(200);
    let gray = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    for (name, file) in [
        ("sRGB", png_with(*b"sRGB", &[0])),
        ("sRGB counts for more than gAMA", {
            let mut file = png_with(*b"gAMA", &100_000_u32.to_be_bytes());
            file.splice(33..33, chunk(*b"sRGB", &[0]));
            file
        }),
        ("the usual gAMA", png_with(*b"gAMA", &45_455_u32.to_be_bytes())),
        ("gAMA of zero", png_with(*b"gAMA", &[0; 4])),
        ("a cut profile", jpeg_with(&icc_segment(&damaged))),
        ("noise", jpeg_with(&icc_segment(&[0xA5; 500]))),
        ("a gray profile", jpeg_with(&icc_segment(&gray))),
        ("one part of two", jpeg_with(&segment(0xE2, b"ICC_PROFILE\0\x01\x02part"))),
        ("a damaged iCCP", png_with(*b"iCCP", b"name\0\0damaged")),
    ] {
        assert_colours(name, &file, SRGB);
    }
}

#[test]
fn cmyk_is_converted_by_its_profile() {
    let cmyk = data("cmyk-profile.jpg");
    // Its profile maps cyan to red; without it, cyan would be shown.
    let [left, ..] = colours(&small("CMYK", &cmyk));
    assert_near("CMYK", left, [255, 0, 0], 12);
}

#[test]
fn the_models_input_keeps_the_colours_of_the_file() {
    let p3 = ColorProfile::new_display_p3().encode().unwrap();
    let image = decoded(&png_with(*b"iCCP", &[b"P3\0\0", &zlib(&p3)[..]].concat())).unwrap();
    assert_eq!(pixel(&image, 20, 100), flag_image().get_pixel(20, 100).0);
}
