//! Images whose pixels or metadata are far larger than the available memory. Each test runs in a process of its own,
//! because the peak of memory belongs to a process.

use glimpse::imaging::{Extras, ImagingSettings, Limits, Preprocessing, prepare_with, prepared_size};
use image::{Rgb, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::files::{png_with, zlib_of_zeros};
use crate::support::process::{peak_since, reset_peak, runs_alone};

/// `GLIMPSE_MEMORY_MB`, which these images must share.
const BUDGET: u64 = 512 << 20;

/// A JPEG as phones write it, with `rows` rows of blocks: those of one strip, repeated between restart markers.
pub(super) fn phone_jpeg(width: u16, rows: u16) -> Vec<u8> {
    let strip = RgbImage::from_fn(width.into(), 32, |x, _| {
        if x < u32::from(width) / 2 { Rgb([220, 30, 30]) } else { Rgb([30, 30, 220]) }
    });
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, 90);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_restart_interval(width.div_ceil(16));
    encoder.encode(&strip, width, 32, ColorType::Rgb).unwrap();
    let find = |marker: u8| jpeg.windows(2).position(|two| two == [0xFF, marker]).unwrap();
    let (frame, scan, restart) = (find(0xC0), find(0xDA), find(0xD0));
    let data = scan + 2 + usize::from(u16::from_be_bytes([jpeg[scan + 2], jpeg[scan + 3]]));
    let mut head = jpeg[..data].to_vec();
    head[frame + 5..frame + 7].copy_from_slice(&(rows * 16).to_be_bytes());
    for row in 0..rows {
        head.extend_from_slice(&jpeg[data..restart]);
        let number = u8::try_from(row % 8).unwrap();
        head.extend_from_slice(&if row + 1 == rows { [0xFF, 0xD9] } else { [0xFF, 0xD0 + number] });
    }
    head
}

fn large_png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fastest);
    let mut writer = encoder.write_header().unwrap();
    let mut rows = writer.stream_writer().unwrap();
    let half = width as usize / 2;
    let row: Vec<u8> = [[220, 30, 30].repeat(half), [30, 30, 220].repeat(width as usize - half)].concat();
    for _ in 0..height {
        std::io::Write::write_all(&mut rows, &row).unwrap();
    }
    rows.finish().unwrap();
    writer.finish().unwrap();
    file
}

fn assert_prepared(name: &str, file: &[u8], size: (u32, u32), limits: &Limits) {
    let (model, extras) = (Preprocessing::crop(224), Extras { thumbnail: true, ..Extras::default() });
    let needed = prepared_size(file, limits, &model, extras).unwrap_or_else(|error| panic!("{name}: {error}"));
    let before = reset_peak();
    let prepared = prepare_with(file, limits, &model, extras).unwrap_or_else(|error| panic!("{name}: {error}"));
    let peak = peak_since(before);
    assert_eq!((prepared.meta.width, prepared.meta.height), size, "{name}");
    let small = image::load_from_memory(&prepared.thumbnail.unwrap()).unwrap().into_rgb8();
    super::assert_near(name, small.get_pixel(40, 90).0, [220, 30, 30], 6);
    super::assert_near(name, small.get_pixel(200, 90).0, [30, 30, 220], 6);
    super::assert_near(name, prepared.image.rgb[..3].try_into().unwrap(), [220, 30, 30], 6);
    if let Some(peak) = peak {
        assert!(peak <= needed + (24 << 20), "{name}: {peak} bytes, {needed} of the budget");
        assert!(peak <= BUDGET, "{name}: {peak} bytes");
    }
}

#[test]
fn images_of_108_and_200_megapixels_are_read_within_the_budget() {
    if runs_alone(module_path!(), "images_of_108_and_200_megapixels_are_read_within_the_budget") {
        let limits = ImagingSettings::default().limits();
        assert_prepared("JPEG of 108 megapixels", &phone_jpeg(12_000, 563), (12_000, 9_008), &limits);
        assert_prepared("JPEG of 200 megapixels", &phone_jpeg(16_320, 765), (16_320, 12_240), &limits);
        // The same with fewer pixels, which an unoptimised build decodes in seconds.
        let narrow = Limits { max_decode_bytes: 16 << 20, ..limits };
        assert_prepared("PNG that must be reduced", &large_png(4_000, 3_000), (4_000, 3_000), &narrow);
    }
}

#[test]
fn twenty_inflating_profiles_and_texts_at_once_stay_within_the_budget() {
    if runs_alone(module_path!(), "twenty_inflating_profiles_and_texts_at_once_stay_within_the_budget") {
        let zeros = zlib_of_zeros(64);
        for (kind, head) in [
            (b"iCCP", &b"x\0\0"[..]),
            (b"zTXt", b"Raw profile type exif\0\0"),
            (b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0"),
        ] {
            let file = png_with(*kind, &[head, &zeros].concat());
            let before = reset_peak();
            std::thread::scope(|scope| {
                for _ in 0..20 {
                    scope.spawn(|| {
                        let extras = Extras { thumbnail: true, ..Extras::default() };
                        let limits = ImagingSettings::default().limits();
                        prepare_with(&file, &limits, &Preprocessing::crop(224), extras).unwrap();
                    });
                }
            });
            let peak = peak_since(before).unwrap_or(0);
            assert!(peak <= BUDGET, "{}: {peak} bytes", String::from_utf8_lossy(kind));
        }
    }
}
