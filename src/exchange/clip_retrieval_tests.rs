use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

/// Writes one pair of files, as clip-retrieval does: `f2` numbers, and optional columns.
fn write_pair(folder: &Path, number: u32, paths: &[&str]) {
    let header = format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({}, 2), }}\n", paths.len());
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    for _ in paths {
        bytes.extend([0x00, 0x3c, 0x00, 0x40]);
    }
    fs::write(folder.join(format!("img_emb_{number}.npy")), bytes).unwrap();
    let schema =
        "message schema { optional binary image_path (UTF8); optional binary caption (UTF8); optional int64 width; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = fs::File::create(folder.join(format!("metadata_{number}.parquet"))).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let defined = vec![1; paths.len()];
    let texts: Vec<ByteArray> = paths.iter().map(|path| ByteArray::from(*path)).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&texts, Some(&defined), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[], Some(&vec![0; paths.len()]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&vec![640; paths.len()], Some(&defined), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

fn rule() -> KeyRule {
    KeyRule { bucket: "b".to_owned(), strip_prefix: "/data".to_owned(), prefix: "images/".to_owned() }
}

#[test]
fn the_vectors_and_their_rows_are_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), 10, &["s3://other/c.jpg", "S3://other/D.jpg"]);
    write_pair(folder.path(), 9, &["/data/a.jpg", "/data/x/b.jpg"]);
    let images = ClipRetrieval::open(folder.path(), rule()).unwrap();
    assert_eq!((images.total(), images.header().dimension), (4, 2));
    let images: Vec<FileImage> = images.map(Result::unwrap).collect();
    let uris: Vec<&str> = images.iter().map(|image| image.uri.as_str()).collect();
    assert_eq!(uris, ["s3://b/images/a.jpg", "s3://b/images/x/b.jpg", "s3://other/c.jpg", "s3://other/D.jpg"]);
    assert_eq!(images[0].vector, [1.0, 2.0]);
    assert_eq!(images[0].meta, BTreeMap::from([("width".to_owned(), "640".to_owned())]), "no caption");
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let problem = |folder: &Path| {
        let images = ClipRetrieval::open(folder, rule()).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        images.unwrap_err().to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(problem(path).contains("no files img_emb_*.npy"));
    write_pair(path, 0, &["/data/a.jpg", "/data/b.jpg"]);
    let metadata = path.join("metadata_0.parquet");
    let whole = fs::read(&metadata).unwrap();
    fs::remove_file(&metadata).unwrap();
    assert!(problem(path).contains("metadata_0.parquet is missing"));
    write_pair(path, 0, &["/data/a.jpg", "/data/b.jpg"]);
    fs::rename(path.join("img_emb_0.npy"), path.join("other.npy")).unwrap();
    write_pair(path, 1, &["/data/a.jpg"]);
    assert!(problem(path).contains("img_emb_0.npy is missing"));
    fs::rename(path.join("other.npy"), path.join("img_emb_0.npy")).unwrap();
    fs::rename(path.join("metadata_1.parquet"), &metadata).unwrap();
    fs::remove_file(path.join("img_emb_1.npy")).unwrap();
    assert!(problem(path).contains("it has 1 rows, but"), "{}", problem(path));
    fs::write(&metadata, &whole[..whole.len() / 2]).unwrap();
    assert!(problem(path).contains("not a Parquet file"), "{}", problem(path));
    write_pair(path, 0, &["elsewhere/a.jpg"]);
    assert!(problem(path).contains("row 1: its `image_path` does not begin with `/data`"), "{}", problem(path));
}
