//! Progressive JPEG files without an end marker.

use glimpse::domain::FailureClass;
use image::RgbImage;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::files::flag_image;
use super::{data, decoded};

fn encode_progressive(image: &RgbImage, scans: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, 90);
    encoder.set_progressive_scans(scans);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let [width, height] = [image.width(), image.height()].map(|side| u16::try_from(side).unwrap());
    encoder.encode(image, width, height, ColorType::Rgb).unwrap();
    jpeg
}

fn scans(file: &[u8]) -> Vec<usize> {
    (0..file.len() - 1).filter(|&at| file[at..at + 2] == [0xFF, 0xDA]).collect()
}

#[test]
fn a_progressive_image_with_all_scans_needs_no_end_marker() {
    for (name, file) in [
        ("progressive-restarts.jpg", data("progressive-restarts.jpg")),
        ("four scans", encode_progressive(&flag_image(), 4)),
        ("ten scans", encode_progressive(&flag_image(), 10)),
    ] {
        assert!(file.ends_with(&[0xFF, 0xD9]), "{name}");
        let whole = decoded(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let without_end = decoded(&file[..file.len() - 2]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(without_end.rgb, whole.rgb, "{name}");
    }
}

#[test]
fn a_progressive_image_without_its_last_scan_is_truncated() {
    for (name, file) in [
        ("progressive-restarts.jpg", data("progressive-restarts.jpg")),
        ("four scans", encode_progressive(&flag_image(), 4)),
    ] {
        let scans = scans(&file);
        let last = *scans.last().unwrap();
        for (what, cut) in [
            ("the last scan is missing", last),
            ("half of the last scan is missing", last + (file.len() - last) / 2),
            ("half of the scans are missing", scans[scans.len() / 2]),
        ] {
            let class = decoded(&file[..cut]).map(|image| image.meta).map_err(|error| error.class());
            assert_eq!(class, Err(FailureClass::Truncated), "{name}: {what}");
        }
    }
}
