//! Imports that are refused, and why.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::exchange::{run, start_with_images};

fn vector(numbers: &[f32]) -> String {
    STANDARD.encode(numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
}

fn batch(uri: &str, numbers: &[f32]) -> Value {
    json!({"dimension": numbers.len(), "model_matches": true, "images": [{"s3_uri": uri, "vector": vector(numbers)}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_with_the_reason() {
    let app = start_with_images().await;
    let cat = "s3://pipeline/images/cat.jpg";
    let (mut good, mut infinite) = ([0.0; 512], [0.0; 512]);
    (good[0], infinite[7]) = (1.0, f32::INFINITY);
    let mut without_model = batch(cat, &good);
    without_model["model_matches"] = json!(false);
    let mut wrong_payload = batch(cat, &good);
    wrong_payload["images"][0]["payload"] = json!({"s3_key": 1});
    let mut many = batch(cat, &good);
    many["images"] = Value::Array(vec![many["images"][0].clone(); 501]);
    let mut odd = batch(cat, &good);
    odd["images"][0]["vector"] = json!("AAA=");
    for (body, status, code, part) in [
        (batch(cat, &[1.0; 3]), 422, "invalid_dimension", "have 3 numbers, but the model glimpse-mini-1"),
        (without_model, 422, "invalid_model_matches", "does not name the model"),
        (batch("s3://other/a.jpg", &good), 403, "bucket_not_allowed", "`other`"),
        (batch("http://x/a.jpg", &good), 422, "invalid_images", "s3_uri of image 0"),
        (wrong_payload, 422, "invalid_images", "payload of image 0"),
        (odd, 422, "invalid_images", "floats of 32 bits"),
        (many, 422, "invalid_images", "at most 500"),
        (json!({"dimension": 512, "images": [], "extra": 1}), 422, "invalid_body", "extra"),
    ] {
        let (found, reply) = app.post("/collections/documents/import", body).await;
        assert_eq!((found.as_u16(), reply["code"].as_str().unwrap()), (status, code), "{reply}");
        assert!(reply["message"].as_str().unwrap().contains(part), "{part}: {reply}");
    }
    let (status, reply) = app.post("/collections/documents/import", batch(cat, &infinite)).await;
    assert_eq!((status, &reply["imported"]), (StatusCode::OK, &json!(0)), "{reply}");
    assert!(
        reply["failures"][0]["message"].as_str().unwrap().contains("index 7 of the vector is not finite"),
        "{reply}"
    );
    let (status, reply) = app.post("/collections/documents/import", batch(cat, &good)).await;
    assert_eq!((status, &reply["imported"]), (StatusCode::OK, &json!(1)), "{reply}");
    // Two times the same batch is one image.
    app.post("/collections/documents/import", batch(cat, &good)).await;
    let (_, listed) = app.get("/collections/documents").await;
    assert_eq!(listed["count"], 1, "{listed}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.parquet");
    std::fs::write(&file, "PAR1 and then nothing PAR1").unwrap();
    let (code, _, err) = run(&app, &["import", "documents", file.to_str().unwrap()]).await;
    assert!(code == Some(1) && err.contains("not a Parquet file that can be read"), "{err}");
    app.stop().await;
}
