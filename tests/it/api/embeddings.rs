//! `POST /v1/embeddings`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use glimpse::api::replies::{EmbeddingsReply, VectorReply};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::support::{TestApp, demo_image, root};

async fn embed(app: &TestApp, body: Value) -> EmbeddingsReply {
    let (status, reply) = app.post("/v1/embeddings", body).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    serde_json::from_value(reply).unwrap()
}

fn numbers(reply: &EmbeddingsReply, index: usize) -> Vec<f32> {
    match &reply.data[index].embedding {
        VectorReply::Numbers(numbers) => numbers.clone(),
        VectorReply::Base64(text) => {
            let bytes = STANDARD.decode(text).unwrap();
            bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
        }
    }
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_those_of_searches() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest().await;
    let texts = embed(&app, json!({"input": ["a cat", "a rocket"], "user": "me"})).await;
    assert_eq!((texts.object.as_str(), texts.data.len(), texts.usage.total_tokens), ("list", 2, 13));
    let cat = format!("data:image/jpeg;base64,{}", STANDARD.encode(demo_image("cat.jpg")));
    let image = embed(&app, json!({"input": cat, "modality": "image", "model": texts.model})).await;
    assert_eq!((image.usage.total_tokens, image.data[0].index, &image.model), (0, 0, &texts.model));
    let (cat, rocket, image) = (numbers(&texts, 0), numbers(&texts, 1), numbers(&image, 0));
    let (_, found) = app.get("/search/images?q=a+cat&limit=1").await;
    assert_eq!(found["results"][0]["s3_key"], "images/cat.jpg");
    #[expect(clippy::cast_possible_truncation, reason = "a score")]
    let score = found["results"][0]["score"].as_f64().unwrap() as f32;
    assert!((cosine(&cat, &image) - score).abs() < 1e-4 && cosine(&cat, &image) > cosine(&rocket, &image));
    let base64 = embed(&app, json!({"input": " a cat ", "encoding_format": "base64", "dimensions": cat.len()})).await;
    assert_eq!(numbers(&base64, 0), cat);

    let cli = Cli::new(&app);
    let lines = cli.run(0, &["embed", "a cat", "a rocket"]).await;
    let lines: Vec<Vec<f32>> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [cat, rocket]);
    let file = root().join("demo/cat.jpg");
    let lines = cli.run(0, &["embed", "--file", file.to_str().unwrap()]).await;
    assert_eq!(serde_json::from_str::<Vec<f32>>(&lines).unwrap(), image);
    cli.run(2, &["embed"]).await;
    cli.run(2, &["embed", "a", "--file", "b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_name_the_field_and_what_is_allowed() {
    let app = TestApp::start().await;
    let image = format!("data:image/jpeg;base64,{}", STANDARD.encode(demo_image("cat.jpg")));
    for (body, status, code, message) in [
        (json!({"input": []}), 422, "invalid_input", "1 to 16 texts, not 0"),
        (json!({"input": vec!["a"; 40]}), 422, "invalid_input", "1 to 16 texts, not 17 or more"),
        (json!({"input": ["a", ""]}), 422, "invalid_input", "input[1]: must have 1 to 1000 characters"),
        (
            json!({"input": "a", "model": "other"}),
            422,
            "invalid_model",
            "the model of the collection `documents`, not `other`",
        ),
        (json!({"input": "a", "dimensions": 2}), 422, "invalid_dimensions", "which the model has, not 2"),
        (json!({"input": "a", "collection": "a b"}), 422, "invalid_collection", "a b"),
        (json!({"input": "a", "lang": "german"}), 422, "invalid_lang", "german"),
        (json!({"input": image}), 422, "invalid_modality", "set it to `image`"),
        (json!({"input": [image, "a,b"], "modality": "image"}), 422, "invalid_input", "input[1] is neither base64"),
        (json!({"input": "AAAA", "modality": "image"}), 415, "unsupported_format", ""),
        (json!({"input": [1, 2]}), 422, "invalid_body", "input"),
        (json!({"input": "a", "modalty": "image"}), 422, "invalid_body", "modality"),
        (json!({"model": "m"}), 422, "invalid_body", "input"),
    ] {
        let (got, reply) = app.post("/v1/embeddings", body.clone()).await;
        assert_eq!((got.as_u16(), reply["code"].as_str()), (status, Some(code)), "{reply}");
        assert!(reply["message"].as_str().unwrap().contains(message), "{reply}");
    }
}
