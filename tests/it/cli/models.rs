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

fn family(name: &str) -> String {
    root().join("tests/data/families").join(name).display().to_string()
}

/// What was measured with a folder is not the speed of the model in the catalogue whose name the folder has.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_read_by_pull_and_its_speed_is_not_that_of_a_known_model() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("Xenova/mobileclip_s0");
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(family("tinyclip"), &folder).unwrap();
    let run = async |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_glimpse"));
        command.args(arguments).current_dir(home.path()).env("XDG_CACHE_HOME", home.path().join("caches"));
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    let pulled = run(&["models", "pull", "Xenova/mobileclip_s0"]).await;
    let text = stdout(&pulled) + &stderr(&pulled);
    assert!(pulled.status.code() == Some(0) && text.contains("is a folder and has all files"), "{text}");
    assert!(!text.contains("licence") && !text.contains("complete in"), "{text}");
    let checked = run(&["models", "check", "Xenova/mobileclip_s0"]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    let shown = stdout(&run(&["models", "show", "mobileclip-s0", "--json"]).await);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["measured"], &shown["revision"]), (&serde_json::json!([]), &Value::from("main")));

    std::fs::create_dir(home.path().join("empty")).unwrap();
    let refused = run(&["models", "pull", "./empty"]).await;
    assert!(refused.status.code() == Some(1) && stderr(&refused).contains("no ONNX files"), "{}", stderr(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_has_the_space_of_the_service_with_the_same_settings() {
    let caches = tempfile::tempdir().unwrap();
    let cache = ("XDG_CACHE_HOME", caches.path().to_str().unwrap());
    let folder = family("tinyclip");
    let check = ["models", "check", &folder];
    let padded = glimpse(&[cache, ("IMAGE_RESIZE", "pad")], &[&check[..], &["--json"]].concat()).await;
    let padded: Value = serde_json::from_str(&stdout(&padded)).unwrap();
    assert_eq!(padded["preprocessing"], "pad-32-bicubic-000000");
    let shown = stdout(&glimpse(&[cache, ("IMAGE_RESIZE", "pad")], &check).await);
    assert!(shown.contains("pad-32-bicubic-000000 (IMAGE_RESIZE)"), "{shown}");
    let refused = glimpse(&[cache, ("IMAGE_TARGET_SIZE", "224")], &check).await;
    let message = stderr(&refused);
    assert!(refused.status.code() == Some(1) && message.contains("IMAGE_TARGET_SIZE is 224"), "{message}");
}

/// A model that is on this machine and cannot be used ends the command with the reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_an_unusable_model_ends_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let vision = family("nomic/vision");
    let variables = [
        ("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap()),
        ("GLIMPSE_ADDR", "127.0.0.1:0"),
        ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
        ("GLIMPSE_LOG", "off"),
        ("CLIP_MODEL", &vision),
    ];
    for command in [&["clip", "--addr", "127.0.0.1:0"][..], &["serve"]] {
        let ended = glimpse(&variables, command).await;
        let message = stderr(&ended);
        assert_eq!(ended.status.code(), Some(1), "{message}");
        for part in ["no tokenizer.json", "nomic, which has both (CLIP_MODEL)"] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_is_named_after_a_folder_too() {
    let caches = tempfile::tempdir().unwrap();
    let variables = [("XDG_CACHE_HOME", caches.path().to_str().unwrap())];
    let folder = family("mobileclip2-sizes");
    let run = async |size: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_glimpse"));
        command.args(["models", "pull", &format!("mobileclip2-sizes:{size}")]).envs(variables);
        command.current_dir(std::path::Path::new(&folder).parent().unwrap());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    assert_eq!(run("s0").await.status.code(), Some(0));
    let message = stderr(&run("s9").await);
    assert!(message.contains("it has no size `s9`; its sizes are s0"), "{message}");
}
