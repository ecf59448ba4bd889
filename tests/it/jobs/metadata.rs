//! Metadata files: a table in the bucket, joined to the images by their keys, and used as filters by both searches.

use std::collections::BTreeMap;
use std::fmt::Write;

use glimpse::api::replies::JobReply;
use glimpse::source::NewObject;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::qdrant::QdrantServer;
use crate::support::{TestApp, demo_image, names};

async fn app() -> TestApp {
    seeded(TestApp::start().await).await
}

async fn seeded(app: TestApp) -> TestApp {
    for name in ["cat.jpg", "panda.jpg", "coffee.jpg", "moose.jpg"] {
        app.put(&format!("images/{name}"), demo_image(name)).await;
    }
    app
}

async fn ingest(app: &TestApp, metadata_key: &str) -> JobReply {
    app.ingest_with(json!({"s3_prefix": "images/", "metadata_key": metadata_key})).await
}

async fn ingest_well(app: &TestApp, metadata_key: &str) -> JobReply {
    let job = ingest(app, metadata_key).await;
    assert_eq!((job.status.as_str(), job.counts.failed), ("SUCCEEDED", 0), "{job:?}");
    assert_eq!(job.metadata_key.as_deref(), Some(metadata_key));
    job
}

/// File names of the hits of both searches with this filter, in order of names.
async fn found(app: &TestApp, filter: &str) -> Vec<String> {
    let by_words = app.client.get(format!("{}/search/images?q=animal&{filter}", app.url)).send().await.unwrap();
    let by_image = app.search_file(demo_image("cat.jpg"), &format!("?{filter}")).await;
    let mut hits = Vec::new();
    for response in [by_words, by_image] {
        let (status, reply) = (response.status(), response.json::<Value>().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{filter}: {reply}");
        let mut names = names(&serde_json::from_value(reply).unwrap());
        names.sort();
        hits.push(names);
    }
    assert_eq!(hits[0], hits[1], "both searches filter alike: {filter}");
    hits.swap_remove(0)
}

async fn meta(app: &TestApp, name: &str) -> BTreeMap<String, String> {
    let reply = app.find_like(demo_image(name)).await;
    let (status, image) = app.get(&format!("/images/{}", reply.results[0].image.id)).await;
    assert_eq!((status, image["s3_key"].as_str().unwrap()), (StatusCode::OK, format!("images/{name}").as_str()));
    serde_json::from_value(image["meta"].clone()).unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_columns_of_a_csv_are_found_by_both_searches() {
    let app = app().await;
    let photographer = NewObject {
        bytes: demo_image("cat.jpg").into(),
        content_type: "image/jpeg".into(),
        metadata: pairs(&[("photographer", "von Wright"), ("taxon", "unknown")]),
        ..NewObject::default()
    };
    app.put_object("images/cat.jpg", photographer).await;
    let file = "\u{feff}s3_key,taxon,place,month\r\n\
        images/cat.jpg,Felis catus,\"Zürich, CH\",5\r\n\
        images/panda.jpg,\"Ailuropoda \"\"melanoleuca\"\"\",\"line\nbreak\",\r\n\
        images/moose.jpg,Alces,,1\r\n\
        images/moose.jpg,Alces alces,,12\r\n\
        images/gone.jpg,x,x,x\r\n\
        other/dog.jpg,x,x,x\r\n\
        ,x,x,x\r\n\
        images/coffee.jpg,too,few\r\n";
    app.put("tables/taxa.csv", file).await;
    let job = ingest_well(&app, "tables/taxa.csv").await;
    assert_eq!(job.counts.done, 4);

    assert_eq!(found(&app, "meta.taxon=Felis%20catus").await, ["cat.jpg"]);
    assert_eq!(found(&app, "meta.place=Z%C3%BCrich,%20CH&meta.month=5").await, ["cat.jpg"]);
    assert_eq!(found(&app, "meta.place=line%0Abreak").await, ["panda.jpg"]);
    assert_eq!(found(&app, "meta.taxon=Alces%20alces").await, ["moose.jpg"], "the last row of a key counts");
    assert_eq!(found(&app, "meta.taxon=Alces").await, [""; 0]);
    assert_eq!(found(&app, "meta.photographer=von%20Wright").await, ["cat.jpg"]);
    let cat = [("month", "5"), ("photographer", "von Wright"), ("place", "Zürich, CH"), ("taxon", "Felis catus")];
    assert_eq!(meta(&app, "cat.jpg").await, pairs(&cat), "if both have a name, the file counts");
    assert_eq!(meta(&app, "moose.jpg").await, pairs(&[("month", "12"), ("taxon", "Alces alces")]));
    assert_eq!(meta(&app, "coffee.jpg").await, pairs(&[]), "a bad row is skipped alone");

    let text = app.log(&job.job_id).await;
    assert!(text.contains("line 9: its s3_key is empty"), "{text}");
    assert!(text.contains("line 10: it has 3 fields, the header has 4"), "{text}");
    let tally = "keys with a row: 4; rows that cannot be used: 2; rows about other keys: 1; rows replaced by a later row for the \
                 same key: 1";
    assert!(text.contains(tally), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fields_of_an_ndjson_are_found_by_both_searches() {
    let app = app().await;
    let rows = [
        json!({"s3_key": "images/cat.jpg", "taxon": {"genus": "Felis"}, "month": 5, "wild": false, "place": null}),
        json!({"s3_key": "images/panda.jpg", "month": 5, "wild": true, "note": ""}),
        json!({"taxon": "without a key"}),
    ];
    let file = rows.map(|row| row.to_string()).join("\n");
    app.put("taxa.ndjson", file + "\nno json\n").await;
    let job = ingest_well(&app, "taxa.ndjson").await;
    assert_eq!(found(&app, "meta.month=5").await, ["cat.jpg", "panda.jpg"]);
    assert_eq!(found(&app, "meta.month=5&meta.wild=true").await, ["panda.jpg"]);
    let cat = [("month", "5"), ("taxon", "{\"genus\":\"Felis\"}"), ("wild", "false")];
    assert_eq!(meta(&app, "cat.jpg").await, pairs(&cat));
    assert_eq!(meta(&app, "panda.jpg").await, pairs(&[("month", "5"), ("wild", "true")]));
    let text = app.log(&job.job_id).await;
    assert!(text.contains("line 3: it has no `s3_key`") && text.contains("line 4: it is not a JSON object"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_file_changes_only_its_records() {
    let app = app().await;
    let write = async |rows: &str| app.put("taxa.csv", format!("s3_key,taxon\n{rows}")).await;
    let counts = |job: &JobReply| (job.counts.done, job.counts.unchanged);
    write("images/cat.jpg,Felis\nimages/panda.jpg,Ailuropoda\n").await;
    assert_eq!(counts(&ingest_well(&app, "taxa.csv").await), (4, 0));
    assert_eq!(counts(&ingest_well(&app, "taxa.csv").await), (0, 4), "nothing has changed");
    write("images/panda.jpg,Ailuropoda\nimages/cat.jpg,Felis catus\nimages/moose.jpg,Alces\n").await;
    assert_eq!(counts(&ingest_well(&app, "taxa.csv").await), (2, 2), "one row is new, one is another, one has moved");
    assert_eq!(found(&app, "meta.taxon=Felis%20catus").await, ["cat.jpg"]);
    assert_eq!(found(&app, "meta.taxon=Felis").await, [""; 0]);
    assert_eq!(found(&app, "meta.taxon=Alces").await, ["moose.jpg"]);

    // A job without a file keeps the metadata; a file that has no row for an image any more removes it.
    assert_eq!(counts(&app.ingest().await), (0, 4));
    assert_eq!(found(&app, "meta.taxon=Alces").await, ["moose.jpg"]);
    write("images/cat.jpg,Felis catus\n").await;
    assert_eq!(counts(&ingest_well(&app, "taxa.csv").await), (2, 2));
    assert_eq!(found(&app, "meta.taxon=Alces").await, [""; 0]);
    let (_, collections) = app.get("/collections").await;
    assert_eq!(collections["collections"][0]["count"], 4, "no record twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_their_corrections_reach_every_store() {
    let qdrant = QdrantServer::start().await;
    let app = TestApp::start_with(&[("VECTOR_DB_PROVIDER", "embedded,qdrant"), ("QDRANT_URL", &qdrant.url())]).await;
    let app = seeded(app).await;
    for (taxon, other) in [("Felis", "Felis catus"), ("Felis catus", "Felis")] {
        app.put("taxa.csv", format!("s3_key,taxon\nimages/cat.jpg,{taxon}\n")).await;
        ingest_well(&app, "taxa.csv").await;
        for store in ["embedded", "qdrant", "all"] {
            let filter = |taxon: &str| format!("provider={store}&meta.taxon={}", taxon.replace(' ', "+"));
            assert_eq!(found(&app, &filter(taxon)).await, ["cat.jpg"], "{store}");
            assert_eq!(found(&app, &filter(other)).await, [""; 0], "{store}");
        }
        let (_, verified) = app.post("/collections/documents/verify", json!({})).await;
        assert_eq!((verified["agrees"].as_bool(), verified["compared"].as_u64()), (Some(true), Some(4)), "{verified}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_file_fails_the_job_with_the_reason() {
    let app = app().await;
    app.put("empty.csv", "").await;
    app.put("other.csv", "key,taxon\nimages/cat.jpg,Felis\n").await;
    app.put("other.jsonl", "{\"key\":\"images/cat.jpg\"}\n").await;
    for (key, text) in [
        ("gone.csv", "there is no metadata file s3://pipeline/gone.csv: check metadata_key"),
        ("empty.csv", "cannot be used: it has no column `s3_key`"),
        ("other.csv", "it has no column `s3_key`; its first columns are `key`, `taxon`"),
        ("other.jsonl", "none of its 1 lines has `s3_key`"),
    ] {
        let job = ingest(&app, key).await;
        assert_eq!((job.status.as_str(), job.counts.listed), ("FAILED", 0), "{key}: {job:?}");
        let message = job.message.unwrap();
        assert!(message.contains(text), "{key}: {message}");
    }
    for key in ["taxa.xlsx", "csv", "taxa.csv/"] {
        let (status, reply) = app.post("/jobs/images", json!({"metadata_key": key})).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{key}");
        assert_eq!(reply["code"], "invalid_metadata_key");
        assert!(reply["message"].as_str().unwrap().contains(".csv, .ndjson or .jsonl"), "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_job_continues_with_the_rows_that_it_read() {
    let app = TestApp::start_with(&[("IMAGE_BATCH_SIZE", "8")]).await;
    let mut file = "s3_key,number\n".to_owned();
    for copy in 0..80 {
        app.put(&format!("images/{copy:03}.jpg"), [demo_image("cat.jpg").as_slice(), &[copy]].concat()).await;
        writeln!(file, "images/{copy:03}.jpg,{copy}").unwrap();
    }
    app.put("numbers.csv", file).await;
    let id = app.submit(json!({"s3_prefix": "images/", "metadata_key": "numbers.csv"})).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    let app = app.restart().await;
    // A listing that was read now would not match the finished part.
    app.put("numbers.csv", "s3_key,number\n").await;
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.done), ("SUCCEEDED", 80), "{job:?}");
    for number in [0, 41, 79] {
        assert_eq!(found(&app, &format!("meta.number={number}")).await, [format!("{number:03}.jpg")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_are_read_in_batches() {
    let app = app().await;
    let mut file = "s3_key,number,taxon\n".to_owned();
    for number in 0..5_000 {
        writeln!(file, "images/none-{number}.jpg,{number},").unwrap();
    }
    file += "images/cat.jpg,5000,Felis\n";
    app.put("many.csv", file).await;
    let job = ingest_well(&app, "many.csv").await;
    assert_eq!(found(&app, "meta.number=5000&meta.taxon=Felis").await, ["cat.jpg"]);
    assert!(app.log(&job.job_id).await.contains("keys with a row: 5001; rows that cannot be used: 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_metadata_key_has_no_file() {
    let app = app().await;
    let job = app.ingest().await;
    let shown: Value = serde_json::to_value(&job).unwrap();
    assert!(shown.get("metadata_key").is_none(), "{shown}");
    assert_eq!(meta(&app, "cat.jpg").await, pairs(&[]));
}
