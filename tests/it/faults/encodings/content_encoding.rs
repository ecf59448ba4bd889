//! Objects that were compressed before the upload, with a right or a wrong `Content-Encoding`.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use reqwest::StatusCode;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::json;

use super::{path, start_over, succeeded};
use crate::support::scripted_bucket::{Mode, Object, Script, ScriptedBucket};
use crate::support::{TestApp, demo_image};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Stored without compression (RFC 7932, 9.2).
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, block) in bytes.chunks(1 << 16).enumerate() {
        let bits = (u32::try_from(block.len() - 1).unwrap() << 3 | 1 << 19) << u32::from(at == 0);
        out.extend(&bits.to_le_bytes()[..3]);
        out.extend(block);
    }
    out.push(3);
    out
}

fn object(key: &str, encoding: &str, bytes: Vec<u8>) -> Object {
    let mut object = Object::new(key, bytes);
    key.clone_into(&mut object.etag);
    object.headers.push(("content-encoding".to_owned(), encoding.as_bytes().to_vec()));
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_objects_are_indexed_shown_and_then_unchanged() {
    let cat = demo_image("cat.jpg");
    let objects = vec![
        object("aws.jpg", "aws-chunked,gzip", gzip(&cat)),
        object("br.jpg", "br", brotli(&cat)),
        object("deflate.jpg", "deflate", zlib(&cat)),
        object("gzip.jpg", "GZIP", gzip(&cat)),
        object("left.jpg", "aws-chunked", cat.clone()),
        object("plain.jpg", "gzip", cat.clone()),
        object("raw.jpg", "deflate", deflate(&cat)),
        object("zstd.jpg", "zstd", compress_to_vec(&cat[..], CompressionLevel::Fastest)),
    ];
    let names: Vec<String> = objects.iter().map(|object| String::from_utf8(object.key.clone()).unwrap()).collect();
    let bucket = ScriptedBucket::start_with(Script { objects, ..Script::default() }).await;
    let app = start_over(&bucket, &[]).await;
    let job = app.ingest_with(json!({})).await;
    succeeded(&job);
    assert_eq!(job.counts.done, 8);
    for name in &names {
        let original = app.client.get(format!("{}{}/original", app.url, path(name))).send().await.unwrap();
        assert_eq!(
            (original.status(), &original.headers()["content-type"]),
            (StatusCode::OK, &"image/jpeg".parse().unwrap())
        );
        assert!(!original.headers().contains_key("content-encoding"));
        assert!(original.bytes().await.unwrap() == cat, "{name}");
        let part = app.client.get(format!("{}{}/original", app.url, path(name))).header("range", "bytes=10-19");
        let part = part.send().await.unwrap();
        assert_eq!(part.headers()["content-range"].to_str().unwrap(), format!("bytes 10-19/{}", cat.len()));
        assert_eq!(part.bytes().await.unwrap(), cat[10..20]);
    }
    let thumbnail = app.client.get(format!("{}{}/thumbnail", app.url, path("gzip.jpg"))).send().await.unwrap();
    assert_eq!(thumbnail.status(), StatusCode::OK);
    let id = path("gzip.jpg").rsplit('/').next().unwrap().to_owned();
    let (status, like) = app.get(&format!("/search/images?like={id}&limit=10")).await;
    assert_eq!((status, like["results"].as_array().unwrap().len()), (StatusCode::OK, 7), "{like}");
    let again = app.ingest_with(json!({})).await;
    assert_eq!((again.counts.unchanged, again.counts.done), (8, 0), "the stored object is the same: {again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_gzip_is_indexed() {
    let bucket = ScriptedBucket::start(Mode::Gzip).await;
    let job = start_over(&bucket, &[]).await.ingest_with(json!({})).await;
    succeeded(&job);
    assert_eq!(job.counts.done, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_apply_to_decompressed_bytes_and_a_failing_encoding_is_named() {
    let cat = demo_image("cat.jpg");
    let large = [&cat[..], &vec![0; 2 << 20]].concat();
    let cut = gzip(&cat);
    let objects = vec![
        object("compress.jpg", "compress", b"\x1f\x9d\x90no image".to_vec()),
        object("cut.jpg", "gzip", cut[..cut.len() / 2].to_vec()),
        object("large.jpg", "gzip", gzip(&large)),
        object("ok.jpg", "gzip", gzip(&cat)),
        object("twice.jpg", "gzip, gzip", gzip(&gzip(&vec![0; 64 << 20]))),
    ];
    let bucket = ScriptedBucket::start_with(Script { objects, ..Script::default() }).await;
    // The budget for files is smaller than the decompressed object.
    let app = start_over(&bucket, &[("IMAGE_MAX_SIZE_MB", "1"), ("GLIMPSE_MEMORY_MB", "16")]).await;
    let job = app.ingest_with(json!({})).await;
    assert_eq!((job.counts.done, job.counts.failed), (1, 4), "{job:?}");
    let failures = app.failures(&job.job_id).await.failures;
    let failed = |key: &str| {
        let failure = failures.iter().find(|failure| failure.s3_key == key).unwrap();
        (failure.class.clone(), failure.message.clone())
    };
    for (key, class, named) in [
        ("compress.jpg", "unsupported_format", "`compress`"),
        ("cut.jpg", "truncated", "`gzip`"),
        ("large.jpg", "too_large", "IMAGE_MAX_SIZE_MB"),
        ("twice.jpg", "too_large", "`gzip, gzip`"),
    ] {
        let (text, message) = failed(key);
        assert!(text == class && message.contains(named), "{key}: {text}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_bucket_keeps_the_encoding_also_of_metadata_files() {
    let app = TestApp::start().await;
    let cat = demo_image("cat.jpg");
    let client = super::uploads::client(&app);
    let put = |key: &'static str, encoding: &'static str, body: Vec<u8>| {
        let put = client.put_object().bucket("pipeline").key(key).content_encoding(encoding).body(body.into());
        async move { drop(put.send().await.unwrap()) }
    };
    put("images/a.jpg", "gzip", gzip(&cat)).await;
    put("table.csv", "gzip", gzip(b"s3_key,taxon\nimages/a.jpg,Felis\n")).await;
    let read = client.get_object().bucket("pipeline").key("images/a.jpg").send().await.unwrap();
    assert_eq!(read.content_encoding(), Some("gzip"), "without the encoding of the SDK's upload");
    let job = app.ingest_with(json!({"s3_prefix": "images/", "metadata_key": "table.csv"})).await;
    succeeded(&job);
    let (_, found) = app.get("/search/images?q=cat&meta.taxon=Felis").await;
    assert_eq!(found["results"][0]["s3_key"], "images/a.jpg", "{found}");
}
