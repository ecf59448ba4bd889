use std::fs::File;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

/// Writes a file as other programs do: every column and every number can be null.
fn write(path: &Path, rows: &[(&str, Option<&[Option<f32>]>)]) {
    let schema = "message schema { optional binary uri (UTF8);
        optional group vector (LIST) { repeated group list { optional float element; } } }";
    let file = File::create(path).unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let uris: Vec<ByteArray> = rows.iter().map(|(uri, _)| ByteArray::from(*uri)).collect();
    column.typed::<ByteArrayType>().write_batch(&uris, Some(&vec![1; rows.len()]), None).unwrap();
    column.close().unwrap();
    let (mut numbers, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    for (_, vector) in rows {
        match vector {
            None => (defined.push(0), repeated.push(0)),
            Some([]) => (defined.push(1), repeated.push(0)),
            Some(vector) => {
                numbers.extend(vector.iter().flatten());
                defined.extend(vector.iter().map(|number| if number.is_some() { 3 } else { 2 }));
                repeated.extend((0..vector.len()).map(|at| i16::from(at > 0)));
                ((), ())
            }
        };
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<FloatType>().write_batch(&numbers, Some(&defined), Some(&repeated)).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_row_without_a_vector_does_not_end_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let long = "s3://b/".to_owned() + &"k".repeat(MAX_URI);
    write(
        &path,
        &[
            ("s3://b/null.jpg", None),
            ("s3://b/hole.jpg", Some(&[Some(1.0), None])),
            ("s3://b/empty.jpg", Some(&[])),
            ("s3://b/good.jpg", Some(&[Some(1.0), Some(2.0), Some(3.0)])),
            (&long, Some(&[Some(1.0)])),
            ("s3://b/last.jpg", Some(&[Some(4.0), Some(f32::NAN), Some(6.0)])),
        ],
    );
    let images = ParquetImages::open(&path).unwrap();
    assert_eq!((images.total(), images.header().dimension), (6, 3), "the size is that of the first good vector");
    let rows: Vec<Result<FileImage, ExchangeError>> = images.collect();
    let mut found = rows.iter().map(|row| match row {
        Ok(image) => format!("{} {}", image.row, image.uri),
        Err(error) => error.to_string().replace(&path.display().to_string(), "FILE"),
    });
    let expected = [
        "FILE: row 1: its `vector` is null",
        "FILE: row 2: its `vector` has null at the index 1",
        "FILE: row 3: its `vector` has 0 numbers; 1 to 16384 are allowed",
        "4 s3://b/good.jpg",
        "FILE: row 5: its `uri` has 2055 bytes; at most 2048 are allowed",
        "6 s3://b/last.jpg",
    ];
    assert!(found.by_ref().eq(expected), "{rows:?}");
    assert!(rows.iter().all(|row| !matches!(row, Err(error) if !matches!(error, ExchangeError::Row { .. }))));
}

#[test]
fn a_file_of_bad_rows_has_no_size_and_a_column_of_another_type_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &[("s3://b/null.jpg", None)]);
    let images = ParquetImages::open(&path).unwrap();
    assert_eq!((images.header().dimension, images.count()), (0, 1));
    let file = File::create(&path).unwrap();
    let schema = "message schema { required binary uri (UTF8); required float vector; }";
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(parse_message_type(schema).unwrap()), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[ByteArray::from("s3://b/a.jpg")], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<FloatType>().write_batch(&[1.0], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let error = ParquetImages::open(&path).unwrap_err().to_string();
    assert!(error.ends_with("its column `vector` is not a list of floats"), "{error}");
}
