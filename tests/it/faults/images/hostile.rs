//! Files that claim to be far larger than they are, many at the same time. The test runs in a process of its own, because
//! the peak of memory belongs to a process.

use std::sync::Arc;

use glimpse::imaging::{Extras, ImagingSettings, Preprocessing, prepare_with, prepared_size};
use glimpse::pipeline::budget::ByteBudget;

use super::files::zlib_of_zeros;
use crate::support::decode_helper;
use crate::support::process::{peak_since, reset_peak, runs_alone};

/// `GLIMPSE_MEMORY_MB`, which these images must share.
const BUDGET: u64 = 512 << 20;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/formats/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A little-endian TIFF with one directory: tags with one number each, and data after them.
fn tiff(tags: &[(u16, u32)], data: &[u8]) -> Vec<u8> {
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend_from_slice(&u16::try_from(tags.len()).unwrap().to_le_bytes());
    let end = u32::try_from(8 + 2 + tags.len() * 12 + 4).unwrap();
    for &(tag, value) in tags {
        file.extend_from_slice(&tag.to_le_bytes());
        file.extend_from_slice(&[4, 0, 1, 0, 0, 0]);
        // The offset of the data.
        file.extend_from_slice(&(if tag == 273 || tag == 324 { end } else { value }).to_le_bytes());
    }
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(data);
    file
}

fn replaced(mut file: Vec<u8>, kind: &[u8], offset: usize, value: &[u8]) -> Vec<u8> {
    let places: Vec<usize> = (0..file.len() - 4).filter(|&at| file[at..].starts_with(kind)).collect();
    assert!(!places.is_empty());
    for at in places {
        file[at + offset..at + offset + value.len()].copy_from_slice(value);
    }
    file
}

fn hostile_files() -> Vec<(&'static str, Vec<u8>)> {
    let size = |width: u32, height: u32| [width.to_be_bytes(), height.to_be_bytes()].concat();
    let zeros = zlib_of_zeros(64);
    let bytes = u32::try_from(zeros.len()).unwrap();
    // Width, height, bits, compression, colours, offset, samples, rows, length.
    let strip = |width, height, bits, samples| {
        let tags = [
            (256, width),
            (257, height),
            (258, bits),
            (259, 8),
            (262, 1),
            (273, 0),
            (277, samples),
            (278, height),
            (279, bytes),
        ];
        tiff(&tags, &zeros)
    };
    let tile = |side| {
        let tags = [
            (256, 100),
            (257, 100),
            (258, 8),
            (259, 8),
            (262, 1),
            (277, 1),
            (322, side),
            (323, side),
            (324, 0),
            (325, bytes),
        ];
        tiff(&tags, &zeros)
    };
    let mut bmp = file("24.bmp");
    bmp[18..26].copy_from_slice(&[17_000_u32.to_le_bytes(), 17_000_u32.to_le_bytes()].concat());
    let mut jpegs = file("olympus.orf");
    jpegs.extend(b"\xFF\xD8\xFF\xC0\0\x11\x08\xFF\xFF\xFF\xFF\x03\x01\x22\0\x02\x11\x01\x03\x11\x01".repeat(100_000));
    vec![
        ("TIFF of 300 megapixels", strip(20_000, 15_000, 8, 1)),
        ("TIFF of 64 bits and 32 samples", strip(400, 400, 64, 32)),
        ("TIFF of 2,500 x 2,500 pixels in one strip", strip(2_500, 2_500, 8, 1)),
        ("TIFF with a huge tile", tile(1 << 30)),
        ("BMP of 289 megapixels", bmp),
        ("RAW with many beginnings of JPEGs", jpegs),
        ("HEIC of 256 megapixels by its container", replaced(file("profile.heic"), b"ispe", 8, &size(16_000, 16_000))),
        ("HEIC of 32 pixels by its container", replaced(file("profile.heic"), b"ispe", 8, &size(32, 32))),
        ("HEIC grid with other tiles", replaced(file("grid.heic"), b"ispe", 8, &size(16_000, 16_000))),
        ("AVIF of 256 megapixels by its container", replaced(file("profile.avif"), b"ispe", 8, &size(16_000, 16_000))),
        ("AVIF of 32 pixels by its container", replaced(file("profile.avif"), b"ispe", 8, &size(32, 32))),
        ("AVIF grid with other tiles", replaced(file("grid.avif"), b"ispe", 8, &size(16_000, 16_000))),
    ]
}

#[test]
fn sixteen_hostile_files_at_once_stay_within_the_budget() {
    if runs_alone(module_path!(), "sixteen_hostile_files_at_once_stay_within_the_budget") {
        decode_helper::install();
        let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(32).build().unwrap();
        for (name, file) in hostile_files() {
            let (needed, peak) = runtime.block_on(peak_of_sixteen(file));
            let limit = needed.map_or(64 << 20, |needed| (needed * 16).min(BUDGET));
            crate::support::environment::print(&format!("{name}: {needed:?} bytes needed, peak {peak}"));
            assert!(peak <= limit + (48 << 20), "{name}: {peak} bytes; one needs {needed:?}");
        }
    }
}

/// Prepares a file 16 times, as the pipeline does: each takes its bytes from the budget first. Returns the bytes that one
/// needs, if it is not refused at once, and the peak of all.
async fn peak_of_sixteen(file: Vec<u8>) -> (Option<u64>, u64) {
    let (limits, model) = (ImagingSettings::default().limits(), Preprocessing::crop(224));
    let extras = Extras { thumbnail: true, ..Extras::default() };
    let needed = prepared_size(&file, &limits, &model, extras).ok();
    let (file, budget) = (Arc::new(file), Arc::new(ByteBudget::new(BUDGET)));
    let before = reset_peak();
    let tasks = (0..16).map(|_| {
        let (file, budget) = (file.clone(), budget.clone());
        tokio::spawn(async move {
            let Ok(needed) = prepared_size(&file, &limits, &model, extras) else { return };
            let permit = budget.take(needed).await;
            let prepared = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                prepare_with(&file, &limits, &model, extras).map(|_| ())
            });
            let _ = prepared.await.unwrap();
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    (needed, peak_since(before).unwrap_or(0))
}
