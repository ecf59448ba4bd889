use fast_image_resize::pixels::U16x3;

use super::*;
use crate::imaging::prepare::decoded_image::whole;

const UPRIGHT: Upright = Upright { size: (0, 0), orientation: Orientation::NoTransforms, filter: Filter::Bicubic };

fn crop(decoded: &DecodedImage, size: u32) -> Result<RgbImage, String> {
    square(decoded, Preprocessing::crop(size))
}

/// Returns an image with structure in both directions and without symmetry.
fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = |step: u32| u8::try_from((x * step + y * (step + 2) + x * y / 7) % 256).unwrap();
        Rgb([wave(1), wave(3), u8::try_from(y * 255 / height).unwrap()])
    })
}

/// Applies the rule exactly: resizes the whole image, then crops it.
fn resize_by_exact_rule(image: &RgbImage, size: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let shortest = f64::from(width.min(height));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small sides")]
    let resized = |length: u32| (f64::from(length) * f64::from(size) / shortest).round_ties_even() as u32;
    let (wide, high) = (resized(width), resized(height));
    let whole = resize(&Pixels::All(image.clone()), (wide, high), Orientation::NoTransforms, Filter::Bicubic).unwrap();
    image::imageops::crop_imm(&whole, (wide - size) / 2, (high - size) / 2, size, size).to_image()
}

fn max_difference(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn ordinary_images_follow_the_rule_exactly_and_strips_approximately() {
    for (width, height) in [(640, 480), (333, 500), (97, 31), (32, 32), (33, 65), (5, 39), (5, 90), (200, 3), (7, 900)]
    {
        let image = pattern(width, height);
        let difference = max_difference(
            &crop(&whole(&image, Orientation::NoTransforms), 32).unwrap(),
            &resize_by_exact_rule(&image, 32),
        );
        let allowed = if width.max(height) <= 8 * width.min(height) { 0 } else { 4 };
        assert!(difference <= allowed, "{width} x {height}: {difference}");
    }
}

/// With 297 x 180 to 260, a part with fractional bounds made the resizer read beyond the image, which aborted the
/// process.
#[test]
fn no_size_reads_beyond_the_image() {
    let sizes = (1..200).map(|side| (side, 45, 65)).chain((1..200).map(|side| (74, side, 65)));
    for (width, height, size) in sizes.chain([(297, 180, 260), (180, 297, 260)]) {
        let image = RgbImage::from_pixel(width, height, Rgb([200, 100, 50]));
        let square = crop(&whole(&image, Orientation::NoTransforms), size).unwrap();
        assert!(square.pixels().all(|pixel| *pixel == Rgb([200, 100, 50])), "{width} x {height}");
    }
}

/// This is the only case in which the resizer gets an end between two pixels (ADR 0006). The sizes go from slightly
/// smaller to much smaller.
#[test]
fn a_reduced_image_is_not_read_beyond_its_end() {
    let colour = [200_u16, 100, 50].map(|value| value << 8);
    for pixels in 33_u32..180 {
        let image = TypedImage::from_pixels(pixels, pixels, vec![U16x3::new(colour); (pixels * pixels) as usize]);
        let image = image.unwrap();
        for missing in [0.0, 0.125, 0.25, 0.5, 0.75, 0.875] {
            let reach = f64::from(pixels) - missing;
            for side in [8, 31, 32, pixels / 2, pixels - 1] {
                let resized = resize_in_order(
                    &reference(&image).unwrap(),
                    (reach, reach),
                    Upright { size: (side, side), ..UPRIGHT },
                )
                .unwrap();
                let same = resized.pixels().iter().all(|pixel| pixel.0 == colour);
                assert!(same, "{reach} of {pixels} to {side}");
            }
        }
    }
}

#[test]
fn a_rotated_stored_image_gives_the_same_square() {
    for (width, height) in [(60, 41), (40, 61), (33, 33)] {
        let upright = pattern(width, height);
        let expected = crop(&whole(&upright, Orientation::NoTransforms), 24).unwrap();
        for value in 1..=8 {
            let orientation = Orientation::from_exif(value).unwrap();
            // The inverse of a rotation by 90 degrees is a rotation by 270; every other orientation is its own inverse.
            let inverse = match orientation {
                Orientation::Rotate90 => Orientation::Rotate270,
                Orientation::Rotate270 => Orientation::Rotate90,
                other => other,
            };
            let mut decoded = DynamicImage::ImageRgb8(upright.clone());
            decoded.apply_orientation(inverse);
            let difference = max_difference(&crop(&whole(&decoded.into_rgb8(), orientation), 24).unwrap(), &expected);
            assert!(difference <= 1, "{width} x {height}, orientation {value}: {difference}");
        }
    }
}

#[test]
fn a_strip_is_not_resized_as_a_whole() {
    for (width, height) in [(1, 5000), (5000, 1), (1, 1), (2, 60_000)] {
        let image = RgbImage::from_pixel(width, height, Rgb([9, 99, 199]));
        let square = crop(&whole(&image, Orientation::NoTransforms), 64).unwrap();
        assert!(square.pixels().all(|pixel| *pixel == Rgb([9, 99, 199])), "{width} x {height}");
    }
}

#[test]
fn padding_keeps_the_whole_upright_image_in_the_middle() {
    let image = RgbImage::from_pixel(30, 10, Rgb([200, 100, 50]));
    for (orientation, upright) in [(Orientation::NoTransforms, (24, 8)), (Orientation::Rotate90, (8, 24))] {
        let square = square(&whole(&image, orientation), Preprocessing::new(24, Resize::Pad([1, 2, 3]))).unwrap();
        let filled = square.pixels().filter(|pixel| **pixel == Rgb([200, 100, 50])).count();
        assert_eq!((square.dimensions(), filled), ((24, 24), 24 * 8));
        let (left, top) = ((24 - upright.0) / 2, (24 - upright.1) / 2);
        assert_eq!(*square.get_pixel(left, top), Rgb([200, 100, 50]));
        assert_eq!(*square.get_pixel(0, 0), Rgb([1, 2, 3]));
    }
    for (width, height) in [(1, 5000), (5000, 1), (1, 1), (24, 24)] {
        let image = whole(&RgbImage::from_pixel(width, height, Rgb([9; 3])), Orientation::NoTransforms);
        square(&image, Preprocessing::new(24, Resize::Pad([0; 3]))).unwrap();
    }
}

#[test]
fn squashing_distorts_the_whole_upright_image() {
    let image = RgbImage::from_fn(40, 10, |x, _| if x < 20 { Rgb([200, 0, 0]) } else { Rgb([0, 0, 200]) });
    for filter in [Filter::Nearest, Filter::Box, Filter::Bilinear, Filter::Hamming, Filter::Bicubic, Filter::Lanczos] {
        let preprocessing = Preprocessing { filter, ..Preprocessing::new(8, Resize::Squash) };
        let squashed = |orientation| square(&whole(&image, orientation), preprocessing).unwrap();
        let upright = squashed(Orientation::NoTransforms);
        assert_eq!((*upright.get_pixel(0, 7), *upright.get_pixel(7, 0)), (Rgb([200, 0, 0]), Rgb([0, 0, 200])));
        let rotated = squashed(Orientation::Rotate90);
        assert_eq!((*rotated.get_pixel(7, 0), *rotated.get_pixel(0, 7)), (Rgb([200, 0, 0]), Rgb([0, 0, 200])));
    }
}
