//! `glimpse models`: the catalogue, and checks of models in folders.

use serde_json::Value;

use super::commands::{glimpse, stderr, stdout};
use crate::support::root;

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_checked_and_unknown_ones_are_refused_with_similar_names() {
    let caches = tempfile::tempdir().unwrap();
    let variables = [("XDG_CACHE_HOME", caches.path().to_str().unwrap()), ("HF_HUB_OFFLINE", "true")];
    let listed = glimpse(&variables, &["models", "list", "--json"]).await;
    let models: Value = serde_json::from_str(&stdout(&listed)).unwrap();
    assert!(models.as_array().unwrap().len() > 30 && models[0]["name"] == "glimpse-mini-1", "{models}");

    let folder = root().join("tests/data/families/siglip2");
    let checked = glimpse(&variables, &["models", "check", folder.to_str().unwrap(), "--precision", "fp32"]).await;
    let text = stdout(&checked);
    assert_eq!(checked.status.code(), Some(0), "{text}{}", stderr(&checked));
    // The weights are random.
    for part in ["bilinear", "preprocessor_config.json", "padded to 64 tokens", "tokenizer.json", "images/s", "chance"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");

    for (arguments, reasons) in [
        (["models", "check", "/nowhere"], ["/nowhere", "does not exist"]),
        (["models", "check", "siglip2-base-265"], ["organisation/name", "similar names: siglip2-base-256"]),
        (["models", "check", "siglip2-base-256"], ["HF_HUB_OFFLINE", "siglip2-base-patch16-256-ONNX"]),
        (["models", "pull", "clip-b-32"], ["HF_HUB_OFFLINE", "Xenova/clip-vit-base-patch32"]),
        (["models", "show", "siglip2-base-265"], ["no model `siglip2-base-265`", "similar names: siglip2-base-256"]),
    ] {
        let refused = glimpse(&variables, &arguments).await;
        let message = stderr(&refused);
        assert!(refused.status.code() == Some(1) && reasons.iter().all(|part| message.contains(part)), "{message}");
    }
}
