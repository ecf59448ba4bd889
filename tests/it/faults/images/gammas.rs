//! PNG files with an unusual gAMA chunk.

use glimpse::imaging::{ImagingSettings, thumbnail};

use super::files::png_with;
use super::{assert_near, assert_red_blue_green, decoded};

/// The colours of a thumbnail: left, right and above.
fn small(gamma: u32) -> [[u8; 3]; 3] {
    let file = png_with(*b"gAMA", &gamma.to_be_bytes());
    let jpeg = thumbnail(&file, &ImagingSettings::default().limits()).unwrap();
    let image = image::load_from_memory(&jpeg).unwrap().into_rgb8();
    let (width, height) = image.dimensions();
    [(width / 4, height * 3 / 4), (width * 3 / 4, height * 3 / 4), (width / 2, height / 16)]
        .map(|(x, y)| image.get_pixel(x, y).0)
}

/// The sRGB value of a sample that is stored with this gamma (in 100,000ths), by the formulas of both specifications.
fn expected(sample: u8, gamma: u32) -> u8 {
    let linear = (f64::from(sample) / 255.0).powf(100_000.0 / f64::from(gamma));
    let srgb = if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
    let value = (srgb * 255.0).round() as u8;
    value
}

#[test]
fn a_gamma_in_the_usable_range_gives_the_values_of_the_specification() {
    assert_eq!((expected(220, 20_000), expected(200, 20_000), expected(30, 20_000)), (184, 148, 0));
    for gamma in [20_000, 100_000, 200_000] {
        let [low, green, high] = [30, 200, 220].map(|sample| expected(sample, gamma));
        for (ours, theirs) in small(gamma).into_iter().zip([[high, low, low], [low, low, high], [low, green, low]]) {
            assert_near(&format!("gAMA {gamma}"), ours, theirs, 8);
        }
    }
}

#[test]
fn an_extreme_gamma_is_ignored() {
    for gamma in [0, 1, 15, 9_999, 1_000_001, 625_000_001, u32::MAX] {
        for (ours, theirs) in small(gamma).into_iter().zip([[220, 30, 30], [30, 30, 220], [30, 200, 30]]) {
            assert_near(&format!("gAMA {gamma}"), ours, theirs, 8);
        }
    }
}

#[test]
fn the_input_of_the_model_ignores_every_gamma() {
    for gamma in [1, 20_000, 100_000, u32::MAX] {
        let image = decoded(&png_with(*b"gAMA", &gamma.to_be_bytes())).unwrap();
        assert_red_blue_green(&format!("gAMA {gamma}"), &image, 0);
    }
}
