//! The same through the service: the result of a job over such a bucket, and its thumbnails.

use serde_json::json;

use super::data;
use super::files::{exif, jpeg_with, png_with, segment, zlib_of_zeros};
use super::large::phone_jpeg;
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_indexes_readable_images_and_names_the_others() {
    let app = TestApp::start().await;
    let orientation = segment(0xE1, &[b"Exif\0\0", &exif(4)[..]].concat());
    let bomb = png_with(*b"iCCP", &[b"x\0\0", &zlib_of_zeros(64)[..]].concat());
    for (name, bytes) in [
        ("three-scans.jpg", data("three-scans-420.jpg")),
        ("turned.jpg", jpeg_with(&orientation)),
        ("phone.jpg", phone_jpeg(12_000, 563)),
        ("bomb.png", bomb),
        ("zz-p3.jpg", data("colour-p3.jpg")),
        ("arithmetic.jpg", data("arithmetic.jpg")),
    ] {
        app.put(&format!("images/{name}"), bytes).await;
    }
    let job = app.ingest_with(json!({})).await;
    assert_eq!((job.counts.listed, job.counts.done, job.counts.failed), (6, 5, 1), "{job:?}");
    let failures = app.failures(&job.job_id).await;
    let failure = &failures.failures[0];
    assert_eq!((failure.s3_key.as_str(), failure.class.as_str()), ("images/arithmetic.jpg", "unsupported_format"));
    assert!(failure.message.contains("arithmetic"), "{failure:?}");

    let (_, reply) = app.get("/search/images?q=red&limit=10").await;
    let hits = reply["results"].as_array().unwrap();
    let hit = |name: &str| {
        let ends = format!("images/{name}");
        hits.iter().find(|hit| hit["s3_key"] == ends.as_str()).unwrap_or_else(|| panic!("{name}: {reply}"))
    };
    assert_eq!((hit("turned.jpg")["width"].as_u64(), hit("turned.jpg")["height"].as_u64()), (Some(200), Some(320)));
    assert_eq!(hit("phone.jpg")["width"], 12_000);
    let path = hit("zz-p3.jpg")["thumbnail"].as_str().unwrap();
    let shown = app.client.get(format!("{}{path}", app.url)).send().await.unwrap().bytes().await.unwrap();
    let shown = image::load_from_memory(&shown).unwrap().into_rgb8();
    super::assert_near("thumbnail", shown.get_pixel(20, 100).0, [220, 30, 30], 6);
}
