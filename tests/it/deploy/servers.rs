//! The whole service with a real Weaviate, the embedded index and Qdrant (a real one if `QDRANT_URL` is set): every
//! kind of search, and a store whose records were changed by hand. Nothing is left behind.

use futures::{FutureExt as _, TryStreamExt as _};
use glimpse::api::replies::{SearchReply, VerifyReply};
use glimpse::domain::{CollectionName, ImageId};
use glimpse::index::ImageIndex as _;
use reqwest::StatusCode;
use serde_json::json;

use crate::contract::index::support::run;
use crate::contract::index::weaviate::Server;
use crate::support::environment::variable;
use crate::support::qdrant::QdrantServer;
use crate::support::{TestApp, demo_image};

const STORES: [&str; 3] = ["embedded", "qdrant", "weaviate"];

#[tokio::test(flavor = "multi_thread")]
async fn three_stores_hold_and_find_the_same_records() {
    let Some(weaviate) = Server::real() else { return };
    let own = QdrantServer::start().await;
    let collection = format!("e2e{}", run());
    let qdrant = variable("QDRANT_URL").unwrap_or_else(|| own.url());
    let (url, grpc_url) = weaviate.addresses();
    let variables = [
        ("VECTOR_DB_PROVIDER", "all"),
        ("VECTOR_DB_COLLECTION", collection.as_str()),
        ("QDRANT_URL", &qdrant),
        ("WEAVIATE_URL", url),
        ("WEAVIATE_GRPC_URL", grpc_url),
        ("WEAVIATE_API_KEY", weaviate.key()),
    ];
    let app = TestApp::start_with(&variables).await;
    let outcome = std::panic::AssertUnwindSafe(all_of_it(&app, &weaviate, &collection)).catch_unwind().await;
    let (dropped, _) = app.delete(&format!("/collections/{collection}")).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    assert_eq!(dropped, StatusCode::OK);
    let collection = CollectionName::parse(&collection).unwrap();
    assert_eq!(weaviate.index.describe(&collection).await.unwrap(), None);
    app.stop().await;
}

async fn all_of_it(app: &TestApp, weaviate: &Server, collection: &str) {
    let count = app.seed_demo().await.len() as u64;
    let job = app.ingest().await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", count, 0), "{job:?}");

    for filter in ["", "&format=png", "&s3_prefix=images/", "&s3_prefix=other/", "&min_width=600&min_height=400"] {
        let all = search(app, "all", filter).await;
        assert!(all.warnings.is_empty() && all.results.iter().all(|hit| hit.stores == STORES), "{filter}: {all:?}");
        for store in STORES {
            let one = search(app, store, filter).await;
            assert_eq!(one.results.len(), all.results.len(), "{store}{filter}");
            for (hit, both) in one.results.iter().zip(&all.results) {
                assert!(
                    hit.image.id == both.image.id && (hit.score - both.score).abs() < 1e-4,
                    "{store}{filter}: {hit:?} {both:?}"
                );
            }
        }
    }
    let cat = demo_image("cat.jpg");
    for store in STORES {
        let response = app.search_file(cat.clone(), &format!("?provider={store}&limit=1")).await;
        let found: SearchReply = response.json().await.unwrap();
        assert!(
            found.results[0].image.s3_key == "images/cat.jpg" && found.results[0].score > 0.999,
            "{store}: {found:?}"
        );
    }

    assert!(verify(app, collection, false).await.agrees);
    let name = CollectionName::parse(collection).unwrap();
    let ids: Vec<ImageId> = weaviate.index.scan(&name).try_collect().await.unwrap();
    weaviate.index.delete(&name, &ids[..10]).await.unwrap();
    let found = verify(app, collection, false).await;
    let named: Vec<_> = found.differences.iter().map(|one| one.id.clone()).collect();
    assert_eq!(named, ids[..10].iter().map(ToString::to_string).collect::<Vec<_>>());
    assert!(found.differences.iter().all(|one| one.kind == "missing" && one.stores == ["weaviate"]), "{found:?}");
    let report = verify(app, collection, true).await;
    assert!(report.agrees && report.repaired == 10, "{report:?}");
    let after = verify(app, collection, false).await;
    assert!(after.total == 0 && after.compared == count, "{after:?}");
}

async fn search(app: &TestApp, store: &str, filter: &str) -> SearchReply {
    let (status, reply) = app.get(&format!("/search/images?q=an+animal&limit=50&provider={store}{filter}")).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    serde_json::from_value(reply).unwrap()
}

async fn verify(app: &TestApp, collection: &str, repair: bool) -> VerifyReply {
    let (status, reply) = app.post(&format!("/collections/{collection}/verify"), json!({"repair": repair})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    serde_json::from_value(reply).unwrap()
}
