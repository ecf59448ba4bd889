use glimpse::domain::FailureClass;
use image::ImageFormat;

use super::files::{chunks, encoded, png_of, png_with};
use super::{assert_red_blue_green, decoded};

#[test]
fn wrong_checksums_and_data_after_the_pixels_do_not_fail_the_image() {
    let png = encoded(ImageFormat::Png);
    let all = chunks(&png);
    let with_checksum_of_zero = |kind: &[u8; 4]| {
        let mut damaged = png_with(*b"tEXt", b"key\0text");
        let at = damaged.windows(4).position(|four| four == kind).unwrap();
        let length = u32::from_be_bytes(damaged[at - 4..at].try_into().unwrap()) as usize;
        damaged[at + 4 + length..at + 8 + length].fill(0);
        damaged
    };
    let mut files: Vec<(String, Vec<u8>)> = [b"IHDR", b"IDAT", b"IEND", b"tEXt"]
        .into_iter()
        .map(|kind| (format!("checksum of {}", String::from_utf8_lossy(kind)), with_checksum_of_zero(kind)))
        .collect();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut chunks = all.clone();
        chunks.iter_mut().filter(|(kind, _)| kind == b"IDAT").take(1).for_each(|(_, data)| change(data));
        png_of(&chunks)
    };
    assert_eq!(all.iter().filter(|(kind, _)| kind == b"IDAT").count(), 1);
    for (name, file) in [
        ("wrong Adler-32", changed(&|data| data.iter_mut().rev().take(4).for_each(|byte| *byte ^= 0x55))),
        ("no Adler-32", changed(&|data| data.truncate(data.len() - 4))),
        ("data after the Adler-32", changed(&|data| data.extend(b"more"))),
        ("no IEND", png[..png.len() - 12].to_vec()),
        ("no IEND and no checksum", png[..png.len() - 16].to_vec()),
        ("data behind IEND", [&png[..], b"more"].concat()),
        ("a second file behind IEND", [&png[..], &png].concat()),
        ("a damaged profile", png_with(*b"iCCP", b"name\0\0damaged")),
        ("a damaged intent", png_with(*b"sRGB", &[9])),
        ("a megabyte of private data", png_with(*b"prVW", &vec![7; 1 << 20])),
    ] {
        files.push((name.to_owned(), file));
    }
    for (name, file) in files {
        let image = decoded(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_red_blue_green(&name, &image, 0);
    }
}

#[test]
fn missing_pixels_are_an_error() {
    let png = encoded(ImageFormat::Png);
    for share in [30, 60, 90] {
        let cut = &png[..png.len() * share / 100];
        assert_eq!(decoded(cut).unwrap_err().class(), FailureClass::Truncated, "{share} %");
    }
    let mut short = chunks(&png);
    short.iter_mut().filter(|(kind, _)| kind == b"IDAT").for_each(|(_, data)| data.truncate(data.len() / 2));
    assert!(matches!(decoded(&png_of(&short)).unwrap_err().class(), FailureClass::Truncated | FailureClass::Corrupt));
}
