//! A folder of clip-retrieval is imported: the vectors are those of the files, everything else is read from the objects.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use crate::exchange::{agrees, export, images, put_images, run, start_with_images};
use crate::support::{TestApp, image_id};

/// Writes the files that `clip-retrieval inference` writes.
fn write_folder(folder: &Path, images: &[(&str, &str, Vec<f32>)]) {
    let shape = format!("({}, {})", images.len(), images[0].2.len());
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(images.iter().flat_map(|(.., vector)| vector).flat_map(|number| number.to_le_bytes()));
    std::fs::create_dir_all(folder.join("img_emb")).unwrap();
    std::fs::create_dir_all(folder.join("metadata")).unwrap();
    std::fs::write(folder.join("img_emb/img_emb_0.npy"), bytes).unwrap();
    let schema = "message schema { required binary image_path (UTF8); required binary caption (UTF8); }";
    let file = File::create(folder.join("metadata/metadata_0.parquet")).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(parse_message_type(schema).unwrap()), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for texts in [images.iter().map(|image| image.0).collect::<Vec<_>>(), images.iter().map(|image| image.1).collect()]
    {
        let texts: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_clip_retrieval_is_imported() {
    let from = start_with_images().await;
    from.ingest().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("documents.parquet");
    export(&from, &file).await;
    from.stop().await;
    let vectors: BTreeMap<String, Vec<f32>> =
        images(&file).into_iter().map(|image| (image.uri, image.vector)).collect();
    let vector = |name: &str| vectors[&format!("s3://pipeline/images/{name}")].clone();
    // The vectors of two images are exchanged, which shows that they are those of the file. They are not of unit length.
    let doubled = vector("coffee.jpg").into_iter().map(|number| number * 2.0).collect();
    write_folder(
        folder.path(),
        &[
            ("/data/cat.jpg", "a cup", doubled),
            ("/data/coffee.jpg", "", vector("cat.jpg")),
            ("/data/gone.jpg", "", vector("panda.jpg")),
            ("s3://pipeline/images/panda.jpg", "a panda", vector("panda.jpg")),
        ],
    );
    let into = TestApp::start().await;
    put_images(&into).await;
    let path = folder.path().to_str().unwrap();
    let options = ["--strip-prefix", "/data/", "--prefix", "images/"];
    let (code, _, err) = run(&into, &[&["import", "documents", path][..], &options].concat()).await;
    assert!(code == Some(1) && err.contains("--model-matches"), "{err}");
    let arguments = [&["import", "documents", path, "--model-matches", "--json"][..], &options].concat();
    let (code, out, err) = run(&into, &arguments).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert!(code == Some(3) && report["imported"] == 3 && report["failed"] == 1, "{out}{err}");
    assert!(err.contains("images/gone.jpg: the object does not exist") && err.contains("fetch_missing"), "{err}");
    assert_eq!(into.find("a cat", 1).await, ["coffee.jpg"]);
    agrees(&into).await;
    let (_, image) = into.get(&format!("/images/{}", image_id("images/cat.jpg"))).await;
    let text = image.to_string();
    assert!(text.contains("a cup") && text.contains("jpeg"), "{text}");
    // What depends on the bytes was read from the object.
    let job = into.ingest().await;
    assert_eq!((job.counts.unchanged, job.counts.done), (3, 1));
    agrees(&into).await;
    into.stop().await;
}
