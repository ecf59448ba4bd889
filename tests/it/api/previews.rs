//! Previews over HTTP, and thumbnails that jobs keep.

use futures::future::join_all;
use glimpse::domain::ImageUri;
use reqwest::{Response, StatusCode};
use serde_json::json;

use crate::support::scripted_bucket::{BUCKET, Object, Script, ScriptedBucket};
use crate::support::{TestApp, demo_image, demo_images};

/// A JPEG of 2,000 x 1,000 pixels with noise, so that its previews have many bytes.
fn large_jpeg() -> Vec<u8> {
    let byte = |number: u32| number.wrapping_mul(2_654_435_761).to_le_bytes()[3];
    let image = image::RgbImage::from_fn(2000, 1000, |x, y| {
        let (near, far) = (byte(x / 4 + 977 * (y / 4)), byte(x / 200 + 31 * (y / 200)));
        image::Rgb([far, near / 2 + far / 2, 255 - far])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

async fn start(files: Vec<Vec<u8>>, variables: &[(&str, &str)]) -> (ScriptedBucket, TestApp) {
    let objects = files.into_iter().enumerate().map(|(place, file)| Object::new(format!("{place:02}.jpg"), file));
    let objects = objects.collect();
    let bucket = ScriptedBucket::start_with(Script { objects, ..Script::default() }).await;
    let own = bucket.variables();
    let all: Vec<_> = own.iter().map(|(name, value)| (*name, &**value)).chain(variables.iter().copied()).collect();
    let app = TestApp::start_with(&all).await;
    let job = app.ingest_with(json!({})).await;
    assert_eq!((job.counts.failed, job.counts.listed > 0), (0, true), "{job:?}");
    (bucket, app)
}

fn path(place: usize, what: &str) -> String {
    format!("/images/{}/{what}", ImageUri::new(BUCKET, &format!("{place:02}.jpg")).id())
}

async fn get(app: &TestApp, path: &str) -> Response {
    app.client.get(format!("{}{path}", app.url)).send().await.unwrap()
}

/// The ETag and the size in pixels of a JPEG.
async fn jpeg(app: &TestApp, path: &str) -> (String, (u32, u32)) {
    let reply = get(app, path).await;
    assert_eq!((reply.status(), &reply.headers()["content-type"]), (StatusCode::OK, &"image/jpeg".parse().unwrap()));
    assert!(reply.headers()["cache-control"].to_str().unwrap().starts_with("private"), "{path}");
    let etag = reply.headers()["etag"].to_str().unwrap().to_owned();
    let image = image::load_from_memory(&reply.bytes().await.unwrap()).unwrap();
    (etag, (image.width(), image.height()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_thumbnails_of_a_first_search_fetch_nothing() {
    let files = demo_images().into_iter().map(|path| std::fs::read(path).unwrap()).collect();
    let (bucket, app) = start(files, &[]).await;
    let before = bucket.all_gets();
    let (_, reply) = app.get("/search/images?q=an+animal&limit=50").await;
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results.len(), 26);
    let mut etags = Vec::new();
    for result in results {
        let (etag, (width, height)) = jpeg(&app, result["thumbnail"].as_str().unwrap()).await;
        assert_eq!(width.max(height), 256);
        etags.push(etag);
    }
    assert_eq!(bucket.all_gets(), before, "no original is read");

    // A thumbnail that is made on request has the same ETag.
    let path = results[0]["thumbnail"].as_str().unwrap();
    let app = app.restart_with(&bucket_variables(&bucket, &[("GLIMPSE_THUMBNAIL_CACHE_MB", "0")])).await;
    assert_eq!(jpeg(&app, path).await.0, etags[0]);
    assert_eq!(bucket.all_gets(), before + 1);
}

fn bucket_variables<'a>(
    bucket: &ScriptedBucket,
    more: &[(&'static str, &'static str)],
) -> Vec<(&'static str, &'a str)> {
    let own = bucket.variables().into_iter().map(|(name, value)| (name, &*value.leak()));
    own.chain(more.iter().copied()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_thumbnails_of_jobs_the_first_request_fetches_the_original() {
    for off in [("GLIMPSE_INDEX_THUMBNAILS", "false"), ("GLIMPSE_THUMBNAIL_CACHE_MB", "0")] {
        let (bucket, app) = start(vec![demo_image("cat.jpg")], &[off]).await;
        assert_eq!(bucket.all_gets(), 1, "{off:?}");
        jpeg(&app, &path(0, "thumbnail")).await;
        assert_eq!(bucket.all_gets(), 2, "{off:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_fits_the_size_is_cached_and_not_enlarged() {
    let (bucket, app) = start(vec![large_jpeg(), demo_image("cat.jpg")], &[]).await;
    let indexed = bucket.all_gets();
    let (etag, size) = jpeg(&app, &path(0, "preview")).await;
    assert_eq!((size, bucket.all_gets()), ((1440, 720), indexed + 1));
    for (query, size, gets) in [
        ("?size=1440", (1440, 720), 1),
        ("?size=1025", (1440, 720), 1),
        ("?size=1000", (1024, 512), 2),
        ("?size=1024", (1024, 512), 2),
        ("?size=300", (512, 256), 3),
        // The thumbnail of the job.
        ("?size=256", (256, 128), 3),
    ] {
        let (own, shown) = jpeg(&app, &path(0, &format!("preview{query}"))).await;
        assert_eq!((shown, own == etag, bucket.all_gets()), (size, size.0 == 1440, indexed + gets), "{query}");
    }
    // The image has 451 pixels on its longer side, so larger previews are the same file.
    let (cat, size) = jpeg(&app, &path(1, "preview")).await;
    assert_eq!(jpeg(&app, &path(1, "preview?size=512")).await, (cat, size));
    assert_eq!((size.0, bucket.all_gets()), (451, indexed + 4));

    let again = app.client.get(format!("{}{}", app.url, path(0, "preview"))).header("if-none-match", &etag);
    let again = again.send().await.unwrap();
    assert_eq!((again.status(), again.headers()["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, &*etag));
    let app = app.restart_with(&bucket_variables(&bucket, &[])).await;
    assert_eq!((jpeg(&app, &path(0, "preview")).await.0, bucket.all_gets()), (etag, indexed + 4), "it is on disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_one_preview_fetch_once_and_errors_have_codes() {
    let (bucket, app) = start(vec![large_jpeg(), demo_image("cat.jpg")], &[]).await;
    let indexed = bucket.all_gets();
    let url = format!("{}{}", app.url, path(0, "preview"));
    let replies = join_all((0..16).map(|_| app.client.get(&url).send())).await;
    assert!(replies.into_iter().all(|reply| reply.unwrap().status() == StatusCode::OK));
    assert_eq!(bucket.all_gets(), indexed + 1);

    for query in ["?size=255", "?size=1441", "?size=0", "?size=-1", "?size=x"] {
        let (status, reply) = app.get(&path(0, &format!("preview{query}"))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(reply["message"].as_str().unwrap().contains("size"), "{query}: {reply}");
    }
    bucket.change(|script| script.objects.clear());
    let (status, reply) = app.get(&path(1, "preview")).await;
    assert_eq!((status, &reply["code"]), (StatusCode::NOT_FOUND, &json!("object_vanished")));
    let (status, reply) = app.get("/images/nonsense/preview").await;
    assert_eq!((status, &reply["code"]), (StatusCode::NOT_FOUND, &json!("unknown_image")));
}
