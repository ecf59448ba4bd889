//! Tests of written files.

#![expect(clippy::cast_precision_loss, reason = "small numbers")]

use serde_json::json;

use super::*;
use crate::domain::Space;
use crate::domain::space::Probe;
use crate::exchange::{FileImage, ParquetImages};

fn header() -> FileHeader {
    let probes = vec![Probe { name: "image:x".to_owned(), vector: vec![0.6, 0.8] }];
    let (model, preprocessing) = ("m".to_owned(), "crop".to_owned());
    FileHeader {
        collection: Some("photos".to_owned()),
        generation: Some(2),
        model: Some("m".to_owned()),
        dimension: 2,
        space: Some(Space { model, dimension: 2, preprocessing, probes }),
    }
}

fn write(path: &Path, images: usize) {
    std::fs::remove_file(path).ok();
    let mut writer = ParquetWriter::create(path, &header()).unwrap();
    for n in 0..images {
        let payload = json!({"n": n}).to_string();
        writer.push(&format!("id-{n}"), &format!("s3://b/{n}.jpg"), &[n as f32, 1.0], &payload).unwrap();
    }
    writer.finish().unwrap();
}

fn read(path: &Path) -> Result<Vec<FileImage>, ExchangeError> {
    ParquetImages::open(path)?.collect()
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    // Two groups of rows.
    let count = MAX_ROWS + 5;
    write(&path, count);
    let images = ParquetImages::open(&path).unwrap();
    assert_eq!((images.header(), images.total()), (&header(), count as u64));
    let images: Vec<FileImage> = images.map(Result::unwrap).collect();
    assert_eq!(images.len(), count);
    for n in [0, 1, MAX_ROWS - 1, MAX_ROWS, count - 1] {
        let FileImage { uri, vector, payload, .. } = &images[n];
        assert_eq!((uri.as_str(), vector.as_slice()), (format!("s3://b/{n}.jpg").as_str(), &[n as f32, 1.0][..]));
        assert_eq!(payload.as_ref().unwrap().get(), json!({"n": n}).to_string());
    }
    write(&path, 0);
    assert!(read(&path).unwrap().is_empty());
}

#[test]
fn a_vector_of_another_size_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = ParquetWriter::create(&folder.path().join("a.parquet"), &header()).unwrap();
    let error = writer.push("i", "s3://b/k.jpg", &[1.0], "{}").unwrap_err().to_string();
    assert!(error.contains("has 1 numbers and not 2"), "{error}");
}

#[test]
fn damaged_files_are_errors_and_not_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, 20);
    let whole = std::fs::read(&path).unwrap();
    for end in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..end]).unwrap();
        assert!(read(&path).is_err(), "cut at {end}");
    }
    let mut seed = 1_u32;
    for _ in 0..400 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut changed = whole.clone();
        let at = (seed >> 4) as usize % changed.len();
        changed[at] ^= (seed >> 24) as u8 | 1;
        std::fs::write(&path, &changed).unwrap();
        // A change of a number is still a valid file.
        drop(read(&path));
    }
}
