use super::*;

fn source(model: &str) -> Result<Source, EmbedError> {
    let settings = EmbedSettings { clip_model: model.to_owned(), ..EmbedSettings::default() };
    Source::from_settings(&settings, &HubSettings { hf_home: "/nowhere".to_owned(), ..HubSettings::default() })
}

fn repo(model: &str) -> String {
    match source(model).unwrap().place {
        Place::Hub { repo, .. } => repo.to_string(),
        other => panic!("{model} is {other:?}"),
    }
}

#[test]
fn a_name_is_the_built_in_model_a_folder_or_a_repository() {
    assert!(source("glimpse-mini-1").unwrap().is_built_in());
    for path in ["/models/clip", "./clip", "models/clip/vit-b-32", env!("CARGO_MANIFEST_DIR"), "src"] {
        assert!(matches!(source(path).unwrap().place, Place::Folder(_)), "{path}");
    }
    assert_eq!(repo("laion/some-clip"), "laion/some-clip");
    let error = source("siglip2-base256").unwrap_err().to_string();
    for part in ["CLIP_MODEL", "organisation/name", "similar names: siglip2-base-256"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_name_of_the_catalogue_is_its_repository() {
    assert_eq!(repo("siglip2-base-256"), "onnx-community/siglip2-base-patch16-256-ONNX");
    assert_eq!(source("siglip2-base-256").unwrap().name(), "onnx-community/siglip2-base-patch16-256-ONNX");
    let sized = source("mobileclip2-s2").unwrap();
    assert_eq!(sized.size.as_deref(), Some("s2"));
}

#[test]
fn well_known_weights_come_from_their_export() {
    assert_eq!(repo("openai/clip-vit-base-patch32"), "Xenova/clip-vit-base-patch32");
    assert_eq!(repo("openai/clip-vit-base-patch32@abc"), "openai/clip-vit-base-patch32@abc");
    assert_eq!(source("openai/clip-vit-base-patch32").unwrap().name(), "openai/clip-vit-base-patch32");
}

#[test]
fn a_size_and_the_repository_of_the_text_tower_are_found() {
    let sized = source("plhery/mobileclip2-onnx:s2").unwrap();
    assert_eq!(
        (sized.size.as_deref(), repo("plhery/mobileclip2-onnx:s2")),
        (Some("s2"), "plhery/mobileclip2-onnx".into())
    );
    assert_eq!(split_size("a/b@main:l14"), ("a/b@main", Some("l14")));
    assert_eq!((split_size("C:\\clip"), split_size("a/b")), (("C:\\clip", None), ("a/b", None)));
    match source("Qdrant/clip-ViT-B-32-vision").unwrap().place {
        Place::Hub { text: Some(text), .. } => assert_eq!(text.id(), "Qdrant/clip-ViT-B-32-text"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn int8_is_part_of_the_name() {
    assert_eq!(Source::folder("/models/clip", Precision::Int8).name(), "clip (int8)");
}
