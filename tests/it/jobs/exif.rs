//! Facts of EXIF, from the file to searches, lists and counts.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::exif::Exif;
use crate::support::{TestApp, demo_image, image_id};

/// Key, time, offset, model, position.
type Photo = (&'static str, &'static str, &'static str, &'static str, Option<[u32; 2]>);

const PHOTOS: [Photo; 4] = [
    ("images/july.jpg", "2024:07:01 00:30:00", "+02:00", "X100V", Some([48, 11])),
    ("images/june.jpg", "2024:06:30 23:00:00", "+02:00", "X100V", Some([47, 8])),
    ("images/old.jpg", "1999:06:01 12:00:00", "", "D1", None),
    ("images/undated.jpg", "0000:00:00 00:00:00", "", "", None),
];

async fn upload(app: &TestApp) {
    let images = ["cat.jpg", "palace.jpg", "panda.jpg", "rocket.jpg"];
    for ((key, taken_at, offset, model, position), image) in PHOTOS.into_iter().zip(images) {
        let exif = Exif { taken_at, offset, model, position };
        app.put(key, exif.in_jpeg(&demo_image(image))).await;
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|image| &image["s3_key"].as_str().unwrap()["images/".len()..]).collect()
}

/// The keys of the images in the order `taken`, with these parameters.
async fn listed(app: &TestApp, query: &str) -> String {
    let (status, page) = app.get(&format!("/images?order=taken&{query}")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    names(&page["images"]).join(" ")
}

async fn counts(app: &TestApp, field: &str) -> Value {
    app.get(&format!("/collections/documents/facets?field={field}")).await.1["values"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_found_listed_and_counted_by_what_their_camera_wrote() {
    let app = TestApp::start_with(&[("IMAGE_EXIF", "all")]).await;
    upload(&app).await;
    app.ingest().await;
    assert_eq!(listed(&app, "").await, "july.jpg june.jpg old.jpg undated.jpg");
    for (query, expected) in [
        ("camera=X100V", "july.jpg june.jpg"),
        ("camera=!X100V", "old.jpg undated.jpg"),
        ("taken_month=06", "june.jpg old.jpg"),
        ("taken_month=2024-07", "july.jpg"),
        ("taken_after=2024-06-30&taken_before=2024-06-30", "july.jpg june.jpg"),
        ("taken_before=2000-01-01", "old.jpg"),
        ("near=47.1,8,20", "june.jpg"),
        ("bbox=10,40,20,50", "july.jpg"),
    ] {
        assert_eq!(listed(&app, query).await, expected, "{query}");
    }
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = app.get(&format!("/images?order=taken&limit=1{cursor}")).await;
        pages.extend(names(&page["images"]).into_iter().map(str::to_owned));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages.join(" "), "july.jpg june.jpg old.jpg undated.jpg");

    let value = |value: &str, count: u64| json!({"value": value, "count": count});
    assert_eq!(counts(&app, "camera").await, json!([value("X100V", 2), value("D1", 1)]));
    assert_eq!(
        counts(&app, "taken_month").await,
        json!([value("1999-06", 1), value("2024-06", 1), value("2024-07", 1)])
    );

    let (_, found) = app.get("/search/images?q=a+cat&limit=1").await;
    assert_eq!(found["results"][0]["taken_at"], "2024-07-01T00:30:00+02:00");
    assert_eq!(found["results"][0]["camera"], "X100V");
    let filter = json!({"taken_month": ["06", "2024-07"], "near": "47.1,8,20"});
    let (_, found) = app.post("/search/images", json!({"positive": [{"text": "a cat"}], "filter": filter})).await;
    assert_eq!(names(&found["results"]), ["june.jpg"]);
    let (_, image) = app.get(&format!("/images/{}", image_id("images/july.jpg"))).await;
    assert_eq!(image["exif"], json!({"location": {"lat": 48.0, "lon": 11.0}, "orientation": 1}));
    let (_, image) = app.get(&format!("/images/{}", image_id("images/old.jpg"))).await;
    assert_eq!((&image["taken_at"], &image["camera"]), (&json!("1999-06-01T12:00:00Z"), &json!("D1")));
    let (_, image) = app.get(&format!("/images/{}", image_id("images/undated.jpg"))).await;
    assert_eq!((&image["taken_at"], &image["camera"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_exist_get_the_facts_of_the_setting() {
    let app = TestApp::start_with(&[("IMAGE_EXIF", "none")]).await;
    upload(&app).await;
    app.ingest().await;
    let scores = async |app: &TestApp| app.get("/search/images?q=a+cat").await.1["results"].clone();
    let before = scores(&app).await;
    assert_eq!(before[0]["taken_at"], Value::Null);
    let refresh = async |app: &TestApp| {
        let job = app.ingest_with(json!({"refresh": "facts"})).await;
        (job.counts.done, job.counts.unchanged, job.counts.failed)
    };
    assert_eq!(refresh(&app).await, (0, 4, 0));

    let app = app.restart_with(&[("IMAGE_EXIF", "all")]).await;
    assert_eq!(refresh(&app).await, (4, 0, 0));
    assert_eq!(refresh(&app).await, (0, 4, 0));
    assert_eq!(listed(&app, "near=47.1,8,20").await, "june.jpg");
    let after = scores(&app).await;
    assert_eq!(after[0]["taken_at"], "2024-07-01T00:30:00+02:00");
    for (before, after) in before.as_array().unwrap().iter().zip(after.as_array().unwrap()) {
        assert_eq!((&before["id"], &before["score"]), (&after["id"], &after["score"]));
    }

    // The default has no positions.
    let app = app.restart_with(&[]).await;
    assert_eq!(refresh(&app).await, (4, 0, 0));
    assert_eq!(listed(&app, "near=47.1,8,20").await, "");
    assert_eq!(listed(&app, "").await, "july.jpg june.jpg old.jpg undated.jpg");
}
