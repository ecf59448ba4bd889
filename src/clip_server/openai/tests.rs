use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::clip_server::tests::{png, send, service, uri};

async fn post(path: &str, body: Value) -> (u16, Value) {
    let (status, reply) = send(&service().0, "POST", path, body.to_string()).await;
    (status.as_u16(), reply)
}

#[tokio::test]
async fn texts_and_images_are_embedded_in_order() {
    for path in ["/v1/embeddings", "/embeddings"] {
        let (status, reply) = post(path, json!({"model": "fake", "input": ["a", "four"], "user": "me"})).await;
        assert_eq!((status, &reply["object"], &reply["model"]), (200, &json!("list"), &json!("fake")), "{reply}");
        assert_eq!((&reply["data"][1]["index"], &reply["data"][1]["object"]), (&json!(1), &json!("embedding")));
        assert!(reply["data"][0]["embedding"][0].as_f64() > reply["data"][1]["embedding"][0].as_f64());
        assert_eq!(reply["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    }
    let images = [uri(&png(4, 4, [200, 0, 0])), uri(&png(9, 5, [0, 0, 200]))];
    let ours = post("/embedding/image", json!({"images": images})).await.1;
    let (status, reply) = post("/v1/embeddings", json!({"input": images, "modality": "image"})).await;
    assert_eq!((status, &reply["usage"]["total_tokens"]), (200, &json!(0)));
    for place in 0..2 {
        assert_eq!(reply["data"][place]["embedding"], ours[place]["vector"]);
    }
}

#[tokio::test]
async fn base64_has_the_same_numbers() {
    let body = |format: &str| json!({"input": "a", "encoding_format": format, "dimensions": 3, "modality": "text"});
    let floats = post("/v1/embeddings", body("float")).await.1["data"][0]["embedding"].clone();
    let base64 = post("/v1/embeddings", body("base64")).await.1["data"][0]["embedding"].clone();
    let bytes = STANDARD.decode(base64.as_str().unwrap()).unwrap();
    let numbers: Vec<f32> = bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(numbers, serde_json::from_value::<Vec<f32>>(floats.clone()).unwrap());
    let null = json!({"input": "a", "encoding_format": null, "dimensions": null, "modality": null, "model": null,
        "lang": null, "user": null});
    assert_eq!(post("/v1/embeddings", null).await.1["data"][0]["embedding"], floats);
}

#[tokio::test]
async fn the_list_of_models_describes_the_model() {
    let expected = json!({"object": "list", "data": [{"id": "fake", "object": "model", "created": 0, "owned_by": "glimpse",
        "glimpse": {"model": "fake", "dimension": 3, "image_size": 4, "resize": "crop",
            "preprocessing": "crop-4-bicubic"}}]});
    for path in ["/v1/models", "/models"] {
        assert_eq!(send(&service().0, "GET", path, "").await, (StatusCode::OK, expected.clone()));
        let one = send(&service().0, "GET", &format!("{path}/fake"), "").await;
        assert_eq!(one, (StatusCode::OK, expected["data"][0].clone()));
        // The id of a model of the hub, as clients send it.
        for other in ["openai/clip-vit-base-patch32", "openai%2Fclip-vit-base-patch32"] {
            let (status, reply) = send(&service().0, "GET", &format!("{path}/{other}"), "").await;
            let message = "this service does not have the model `openai/clip-vit-base-patch32`; it has `fake`";
            let expected = json!({"error": {"message": message, "type": "invalid_request_error", "param": "model",
                "code": "model_not_found"}});
            assert_eq!((status, reply), (StatusCode::NOT_FOUND, expected), "{path}/{other}");
        }
        let (status, reply) = send(&service().0, "POST", &format!("{path}/fake"), "").await;
        assert_eq!(
            (status, reply["error"]["type"].as_str()),
            (StatusCode::METHOD_NOT_ALLOWED, Some("invalid_request_error"))
        );
    }
}

#[tokio::test]
async fn errors_have_the_shape_of_openai() {
    let image = uri(&png(4, 4, [1, 2, 3]));
    for (body, status, param, message) in [
        (
            json!({"input": "a", "model": "other"}),
            404,
            json!("model"),
            "does not have the model `other`; it has `fake`",
        ),
        (json!({"input": "a", "dimensions": 2}), 400, json!("dimensions"), "must be 3"),
        (json!({"input": []}), 400, json!("input"), "is empty"),
        (json!({"input": image}), 400, json!("modality"), "set it to `image`"),
        (json!({"input": [1, 2]}), 400, json!(null), "lists of tokens are not supported"),
        (json!({"input": "a", "modalty": "image"}), 400, json!(null), "unknown field `modalty`"),
        (json!({"input": "a", "modality": "audio"}), 400, json!(null), "unknown variant `audio`"),
        (json!({"input": "a", "lang": "german"}), 422, json!("lang"), "the language `german` is not known"),
        (json!({"input": ["a", ""]}), 422, json!("input"), "input[1]: empty text"),
        (json!(["fake", "a"]), 400, json!(null), "the body must be a JSON object, not an array"),
        (json!("a"), 400, json!(null), "the body must be a JSON object, not a string"),
        (json!({"model": "fake"}), 400, json!(null), "missing field `input`"),
        (json!({"input": ["http://h/a.png"], "modality": "image"}), 422, json!("input"), "input[0]: is a URL"),
        (json!({"input": [image, "a,b"], "modality": "image"}), 422, json!("input"), "input[1]: not a data URI"),
        (json!({"input": vec!["a"; 65]}), 422, json!("input"), "at most 64"),
        (json!({"input": "a".repeat(4 << 20)}), 413, json!(null), "it must have at most 2446680 bytes"),
    ] {
        let (got, reply) = post("/v1/embeddings", body).await;
        let error = &reply["error"];
        assert_eq!(
            (got, &error["type"], &error["param"]),
            (status, &json!("invalid_request_error"), &param),
            "{reply}"
        );
        assert!(error["message"].as_str().unwrap().contains(message), "{reply}");
    }
    assert_eq!(post("/embeddings", json!({"input": "a", "model": "x"})).await.1["error"]["code"], "model_not_found");
    let (status, reply) = post("/embeddings", json!({"input": "broken"})).await;
    assert_eq!((status, &reply["error"]["type"]), (503, &json!("server_error")));
    assert_eq!(post("/embeddings", json!({"input": "busy"})).await.1["error"]["type"], "rate_limit_error");
    assert_eq!(post("/v1/nothing", json!({})).await.1["error"]["code"], json!(null));
    assert_eq!(send(&service().0, "GET", "/v1/embeddings", "").await.1["error"]["type"], "invalid_request_error");
}
