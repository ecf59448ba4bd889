use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, imageops};

use super::*;
use crate::imaging::{ImagingSettings, Preprocessing, prepare};

fn demo(name: &str) -> DynamicImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(name);
    image::load_from_memory(&std::fs::read(path).unwrap()).unwrap()
}

/// Encodes an image and returns the signature that the pipeline computes for the file.
fn sign(image: &DynamicImage, quality: u8) -> Option<Signature> {
    let mut jpeg = Cursor::new(Vec::new());
    image.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, quality)).unwrap();
    let limits = ImagingSettings::default().limits();
    signature(&prepare(&jpeg.into_inner(), &limits, &Preprocessing::crop(224)).unwrap().image)
}

#[test]
fn a_changed_image_is_a_copy() {
    for name in ["cat.jpg", "coffee.jpg", "palace.jpg"] {
        let image = demo(name);
        let (width, height) = (image.width(), image.height());
        let original = sign(&image, 90).unwrap();
        let corner = image.crop_imm(width / 5, 0, width - width / 5, height - height / 5);
        let center = image.crop_imm(width / 20, height / 20, width - width / 10, height - height / 10);
        for (change, changed, quality) in [
            ("small", image.resize(160, 160, imageops::FilterType::Triangle), 90),
            ("compressed", image.clone(), 20),
            ("mirrored", image.fliph(), 80),
            ("cropped at a corner", corner.clone(), 80),
            ("cropped", center, 80),
            ("mirrored and cropped", corner.fliph(), 60),
        ] {
            let changed = sign(&changed, quality).unwrap();
            assert!(is_copy(&original, &changed), "{name}, {change}");
            assert!(is_copy(&changed, &original), "{change}, {name}");
        }
    }
}

#[test]
fn different_images_are_not() {
    let names =
        ["cat.jpg", "coffee.jpg", "palace.jpg", "temple.jpg", "leaning-tower.jpg", "brick-wall.jpg", "rocket.jpg"];
    let signatures: Vec<_> = names.iter().map(|name| sign(&demo(name), 90).unwrap()).collect();
    for (at, signature) in signatures.iter().enumerate() {
        for (other, name) in signatures[..at].iter().zip(names) {
            assert!(!is_copy(signature, other), "{} and {name}", names[at]);
        }
    }
}

#[test]
fn an_image_without_detail_has_no_signature() {
    let gray = image::RgbImage::from_fn(300, 200, |x, _| image::Rgb([if x < 150 { 128 } else { 129 }; 3]));
    assert_eq!(sign(&gray.into(), 90), None);
    let wrong = PreparedImage { size: 8, rgb: vec![0; 8].into() };
    assert_eq!(signature(&wrong), None);
}
