//! Gateways that give every object the same ETag.

use serde_json::json;

use super::plain::{service, succeeded};
use crate::support::scripted_bucket::{Mode, ScriptedBucket};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_noticed_although_all_objects_have_the_same_etag() {
    for etag in ["constant", "00000000000000000000000000000000", "", "d41d8cd98f00b204e9800998ecf8427e"] {
        let bucket = ScriptedBucket::start(Mode::Plain).await;
        bucket.change(|script| {
            script.page = 10;
            script.objects.iter_mut().for_each(|object| etag.clone_into(&mut object.etag));
        });
        let app = service(&bucket).await;
        assert_eq!(succeeded(&app, json!({})).await.counts.done, 4, "{etag}");
        assert_eq!(succeeded(&app, json!({})).await.counts.unchanged, 4, "{etag}");
        // Overwritten with an object of the same size.
        bucket.change(|script| "2026-02-02T00:00:00.000Z".clone_into(&mut script.object("b.jpg").modified));
        let job = succeeded(&app, json!({})).await;
        assert_eq!((job.counts.unchanged, bucket.gets("b.jpg")), (3, 2), "{etag}: {job:?}");
        // Overwritten with an object of another size within the same second.
        bucket.change(|script| script.object("d.jpg").bytes = crate::support::demo_image("cat.jpg").into());
        let job = succeeded(&app, json!({})).await;
        assert_eq!((job.counts.unchanged, bucket.gets("d.jpg")), (3, 2), "{etag}: {job:?}");
    }
}
