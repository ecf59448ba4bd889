use image::Rgb;

use super::*;

/// Something with structure in both directions, and no symmetry.
fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = |step: u32| u8::try_from((x * step + y * (step + 2) + x * y / 7) % 256).unwrap();
        Rgb([wave(1), wave(3), u8::try_from(y * 255 / height).unwrap()])
    })
}

/// The rule to the letter: the whole picture resized, then cut.
fn by_the_letter(picture: &RgbImage, size: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let shortest = width.min(height);
    let resized = |length| u32::try_from(scaled(length, shortest, size)).unwrap();
    let (wide, high) = (resized(width), resized(height));
    let source = ImageRef::new(width, height, picture.as_raw(), PixelType::U8x3).unwrap();
    let mut whole = Image::new(wide, high, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&source, &mut whole, &options).unwrap();
    let whole = RgbImage::from_raw(wide, high, whole.into_vec()).unwrap();
    image::imageops::crop_imm(&whole, (wide - size) / 2, (high - size) / 2, size, size).to_image()
}

fn worst(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn the_other_side_is_rounded_half_to_even() {
    assert_eq!(scaled(5, 2, 5), 12);
    assert_eq!(scaled(7, 2, 5), 18);
    assert_eq!(scaled(640, 480, 260), 347);
    assert_eq!(scaled(480, 480, 260), 260);
    assert_eq!(scaled(u32::MAX, 1, 260), 1_116_691_496_700);
}

#[test]
fn cutting_before_resizing_gives_the_same_picture() {
    for (width, height) in [(640, 480), (333, 500), (97, 31), (32, 32), (33, 65), (5, 90), (200, 3)] {
        let picture = pattern(width, height);
        let apart = worst(&square(&picture, Orientation::NoTransforms, 32).unwrap(), &by_the_letter(&picture, 32));
        assert!(apart <= 1, "{width} x {height}: {apart}");
    }
}

#[test]
fn a_picture_stored_turned_gives_the_same_square() {
    for (width, height) in [(60, 41), (40, 61), (33, 33)] {
        let upright = pattern(width, height);
        let expected = square(&upright, Orientation::NoTransforms, 24).unwrap();
        for value in 1..=8 {
            let orientation = Orientation::from_exif(value).unwrap();
            // The inverse of turning by 90 degrees is turning by 270, every other one is its own.
            let inverse = match orientation {
                Orientation::Rotate90 => Orientation::Rotate270,
                Orientation::Rotate270 => Orientation::Rotate90,
                other => other,
            };
            let mut stored = DynamicImage::ImageRgb8(upright.clone());
            stored.apply_orientation(inverse);
            let apart = worst(&square(&stored.into_rgb8(), orientation, 24).unwrap(), &expected);
            // Rows are resized before columns, and what lies between is rounded and clamped to bytes.
            assert!(apart <= 8, "{width} x {height}, orientation {value}: {apart}");
        }
    }
}

#[test]
fn a_strip_is_never_blown_up_whole() {
    for (width, height) in [(1, 5000), (5000, 1), (1, 1), (2, 60_000)] {
        let picture = RgbImage::from_pixel(width, height, Rgb([9, 99, 199]));
        let square = square(&picture, Orientation::NoTransforms, 64).unwrap();
        assert!(square.pixels().all(|pixel| *pixel == Rgb([9, 99, 199])), "{width} x {height}");
    }
}
