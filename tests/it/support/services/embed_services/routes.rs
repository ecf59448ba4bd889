//! The answers of each service, in its own JSON.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Answer, OPENAI_MODEL, SIZE, Shared, image, strings, text_vector};

/// A text of more words is an error at multi2vec, whose model reads 77 tokens.
const MAX_WORDS: usize = 60;

const DATA_URI: &str = "data:image/png;base64,";

pub(super) async fn clip_card() -> Json<Value> {
    Json(json!({"model": "glimpse-mini-1", "dimension": 512, "image_size": SIZE, "resize": "crop"}))
}

pub(super) async fn clip_images(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(body): Json<Value>,
) -> Answer {
    shared.record("/embedding/image", client, &body);
    let mut answers = Vec::new();
    for text in strings(&body["images"]) {
        let vector = shared.image(&text, DATA_URI).await.map_err(detail)?;
        // It repeats its input.
        answers.push(json!({"image": text, "vector": vector}));
    }
    Ok(Json(answers.into()))
}

pub(super) async fn clip_texts(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(body): Json<Value>,
) -> Answer {
    shared.record("/embedding/text", client, &body);
    let mut answers = Vec::new();
    for text in strings(&body["texts"]) {
        answers.push(json!({"text": text, "vector": text_vector(&text).await.map_err(detail)?}));
    }
    Ok(Json(answers.into()))
}

fn detail(reason: impl Into<Value>) -> (StatusCode, Json<Value>) {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"detail": reason.into()})))
}

pub(super) async fn openai_models() -> Json<Value> {
    Json(json!({"data": [{"id": OPENAI_MODEL, "object": "model"}], "object": "list"}))
}

pub(super) async fn openai(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    shared.record("/embeddings", client, &body);
    let refuse = |status: StatusCode, reason: String| {
        let code = status.as_u16();
        (status, Json(json!({"error": {"message": reason, "type": null, "param": null, "code": code}})))
    };
    if headers.get("authorization").is_none_or(|key| key != "Bearer key") {
        return Err(refuse(StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()));
    }
    if body["model"] != OPENAI_MODEL {
        return Err(refuse(StatusCode::BAD_REQUEST, format!("Invalid model: {}", body["model"])));
    }
    let input = strings(&body["input"]);
    let images = body["modality"] == "image";
    if images && input.len() > 32 {
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "at most 32".to_owned()));
    }
    let mut data = Vec::new();
    for (index, text) in input.iter().enumerate() {
        // Without `modality` everything is text.
        let vector = if images { shared.image(text, DATA_URI).await } else { text_vector(text).await };
        let vector = vector.map_err(|reason| refuse(StatusCode::BAD_REQUEST, reason))?;
        data.push(json!({"object": "embedding", "embedding": vector, "index": index}));
    }
    // In any order: `index` has the position.
    data.reverse();
    let usage = json!({"prompt_tokens": 0, "total_tokens": 0});
    Ok(Json(
        json!({"object": "list", "data": data, "model": OPENAI_MODEL, "usage": usage, "id": "infinity-1", "created": 1}),
    ))
}

pub(super) async fn multi2vec(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(body): Json<Value>,
) -> Answer {
    shared.record("/vectorize", client, &body);
    let failed = |reason: String| (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": reason})));
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for text in strings(&body["texts"]) {
        let is_long = text.split_whitespace().count() > MAX_WORDS || text.len() > 5 * MAX_WORDS;
        if is_long && !shared.reads_images_as_text {
            return Err(failed("index out of range in self".to_owned()));
        }
        // Some of its models return vectors that do not have unit length.
        let vector: Vec<f32> = text_vector(&text).await.map_err(failed)?.iter().map(|value| value * 11.0).collect();
        texts.push(vector);
    }
    for text in strings(&body["images"]) {
        images.push(shared.image(&text, "").await.map_err(failed)?);
    }
    Ok(Json(json!({"textVectors": texts, "imageVectors": images})))
}

pub(super) async fn ollama_show(Json(body): Json<Value>) -> Answer {
    let capabilities = match body["model"].as_str().unwrap() {
        "llava" => vec!["completion", "vision"],
        "nomic-embed-text" => vec!["embedding"],
        model => {
            let error = format!("model '{model}' not found");
            return Err((StatusCode::NOT_FOUND, Json(json!({"error": error}))));
        }
    };
    Ok(Json(json!({"modelfile": "…", "capabilities": capabilities})))
}

/// Captions that differ between images: words chosen by the pixels.
pub(super) async fn ollama_chat(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(body): Json<Value>,
) -> Answer {
    const WORDS: [&str; 16] = [
        "cat", "car", "boat", "tree", "bread", "bridge", "horse", "snow", "apple", "tower", "guitar", "river", "child",
        "clock", "rocket", "shoe",
    ];
    shared.record("/api/chat", client, &body);
    let bad = |error: String| (StatusCode::BAD_REQUEST, Json(json!({"error": error})));
    if body["stream"] != false {
        return Err(bad("only without stream".to_owned()));
    }
    let message = &body["messages"][0];
    let [text] = &strings(&message["images"])[..] else { return Err(bad("one image".to_owned())) };
    let sum = Sha256::digest(&image(text, "").map_err(bad)?.rgb);
    let chosen: Vec<_> = sum.iter().take(4).map(|byte| WORDS[usize::from(byte % 16)]).collect();
    let content = format!(" A {} beside a {}, a {} and a {}.\n", chosen[0], chosen[1], chosen[2], chosen[3]);
    Ok(Json(json!({"model": body["model"], "message": {"role": "assistant", "content": content}, "done": true})))
}

pub(super) async fn ollama_embed(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(body): Json<Value>,
) -> Answer {
    shared.record("/api/embed", client, &body);
    let mut vectors = Vec::new();
    for text in strings(&body["input"]) {
        vectors
            .push(text_vector(&text).await.map_err(|error| (StatusCode::BAD_REQUEST, Json(json!({"error": error}))))?);
    }
    Ok(Json(json!({"model": body["model"], "embeddings": vectors, "total_duration": 1, "load_duration": 1})))
}
