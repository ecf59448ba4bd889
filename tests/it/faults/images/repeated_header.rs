//! PNG files with more than one header chunk: decoders disagree about the size, so the file is refused.

use glimpse::domain::FailureClass;
use image::ImageFormat;

use super::decoded;
use super::files::{chunks, encoded, png_of};

#[test]
fn a_png_with_a_repeated_header_is_corrupt() {
    let all = chunks(&encoded(ImageFormat::Png));
    let mut smaller = all[0].clone();
    smaller.1[3] = 16;
    for repeated in [all[0].clone(), smaller] {
        let mut with_two = all.clone();
        with_two.insert(1, repeated);
        let error = decoded(&png_of(&with_two)).unwrap_err();
        assert_eq!(error.class(), FailureClass::Corrupt, "{error}");
        assert!(error.to_string().contains("header chunk"), "{error}");
    }
}
