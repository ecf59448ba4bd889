//! Dependencies that work, except for one image: it alone fails, after its last attempt, and the job continues.

use std::time::Duration;

use glimpse::api::replies::JobReply;
use image::{Rgb, RgbImage};
use serde_json::json;

use crate::support::proxies::bucket::{BROKEN_OBJECT, ProxiedBucketApp};
use crate::support::services::cheap_clip::{CheapClip, POISON};
use crate::support::{TestApp, demo_image, encode_png};

fn png(colour: [u8; 3]) -> Vec<u8> {
    encode_png(RgbImage::from_pixel(16, 16, Rgb(colour)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_on_which_the_model_fails_does_not_fail_its_batch() {
    let clip = CheapClip::start(Duration::ZERO).await;
    let variables =
        [("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", clip.url.as_str()), ("IMAGE_EMBED_BATCH_SIZE", "4")];
    let app = TestApp::start_with(&variables).await;
    for level in 0..7 {
        app.put(&format!("images/{level}.png"), png([level * 30, 10, 20])).await;
    }
    app.put("images/3 poison.png", png(POISON)).await;
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", 7, 1), "{job:?}");
    let failure = app.failures(&id).await.failures.remove(0);
    assert_eq!((failure.s3_key.as_str(), failure.class.as_str()), ("images/3 poison.png", "embed_rejected"));
    assert!(failure.attempts == 6 && failure.message.contains("succeeded for other inputs"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_the_bucket_cannot_read_fails_alone() {
    let proxied_bucket = ProxiedBucketApp::start(&[]).await;
    let app = &proxied_bucket.app;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.put(&format!("images{BROKEN_OBJECT}"), demo_image("moose.jpg")).await;
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", 1, 1), "{job:?}");
    let failure = app.failures(&id).await.failures.remove(0);
    assert_eq!(
        (failure.s3_key, failure.class.as_str(), failure.attempts),
        ("images/cursed.jpg".into(), "fetch_failed", 6)
    );
}
