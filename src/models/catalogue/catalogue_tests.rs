use std::collections::BTreeSet;

use super::*;

#[test]
fn every_model_is_consistent() {
    let mut names = BTreeSet::new();
    for model in catalogue() {
        let name = &model.name;
        let is_short =
            name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        assert!(is_short && names.insert(name), "{name}");
        assert!(model.preprocessing.parse::<Preprocessing>().is_ok(), "{name}: {}", model.preprocessing);
        assert!(model.service.is_none() || ServiceRules::find(name).is_some(), "{name}");
        assert!(model.commercial_use.is_none() || model.licence.is_some(), "{name}");
        for repository in model.repositories() {
            assert_eq!(repository.matches('/').count(), 1, "{name}: {repository}");
            assert_eq!(CatalogueModel::find(repository).unwrap().name, *name, "{repository}");
        }
        let values = serde_json::to_value(model).unwrap();
        for field in &model.unverified {
            assert!(!values[field].is_null(), "{name}: {field}");
        }
        for percent in [model.quality.coco, model.quality.flickr30k, model.quality.inquire, model.quality.xm3600] {
            assert!(percent.is_none_or(|percent| (0.0..100.0).contains(&percent)), "{name}");
        }
    }
    let built_in: Vec<_> = catalogue().iter().filter(|model| model.repository.is_none()).collect();
    assert_eq!(built_in.iter().map(|model| &*model.name).collect::<Vec<_>>(), ["glimpse-mini-1"]);
}

#[test]
fn three_models_are_recommended_and_none_of_them_forbids_commercial_use() {
    let recommended: Vec<_> = catalogue()
        .iter()
        .filter_map(|model| Some((model.recommended?, &*model.name, model.restricted_licence())))
        .collect();
    assert_eq!(
        recommended,
        [
            (Recommendation::Small, "laion-b-32", None),
            (Recommendation::Default, "siglip2-base-256", None),
            (Recommendation::Best, "siglip2-so400m-384", None),
        ]
    );
    let mobile = CatalogueModel::find("Xenova/mobileclip_s2").unwrap();
    assert_eq!(mobile.restricted_licence(), Some("Apple, for research only"));
}

#[test]
fn a_model_is_found_by_its_name_and_by_its_repositories() {
    for name in [
        "siglip2-base-256",
        "onnx-community/siglip2-base-patch16-256-ONNX",
        "onnx-community/SigLIP2-base-patch16-256-ONNX@main",
        "google/siglip2-base-patch16-256",
    ] {
        assert_eq!(CatalogueModel::find(name).map(|model| &*model.name), Some("siglip2-base-256"), "{name}");
    }
    assert_eq!(CatalogueModel::find("openai/clip-vit-large-patch14").unwrap().name, "clip-l-14");
    assert_eq!(CatalogueModel::find("org/clip"), None);
    assert_eq!(CatalogueModel::named("openai/clip-vit-base-patch32"), None);
}

#[test]
fn the_revision_of_the_catalogue_is_part_of_the_reference() {
    let model = |revision: &str| {
        let known = CatalogueModel::named("mobileclip2-s2").unwrap().clone();
        CatalogueModel { revision: revision.to_owned(), ..known }.reference().unwrap()
    };
    assert_eq!(
        (model("main"), model("v1")),
        ("plhery/mobileclip2-onnx:s2".into(), "plhery/mobileclip2-onnx@v1:s2".into())
    );
    assert_eq!(CatalogueModel::find(&model("v1")).unwrap().name, "mobileclip2-s2");
    for model in catalogue() {
        assert!(
            !model.revision.is_empty() && model.revision.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
        );
    }
}

#[test]
fn weights_for_research_are_named_outside_of_the_catalogue_too() {
    let apple = Some("Apple, for research only");
    for (name, licence) in [
        ("mobileclip2-s2", apple),
        ("plhery/mobileclip2-onnx", apple),
        ("plhery/mobileclip2-onnx:b", apple),
        ("someone/MobileCLIP-B-ONNX@main", apple),
        ("someone/jina-clip-v2-split-onnx", Some("CC-BY-NC-4.0")),
        ("siglip2-base-256", None),
        ("someone/clip", None),
    ] {
        assert_eq!(restricted_licence(name), licence, "{name}");
    }
}

#[test]
fn a_misspelt_name_has_suggestions() {
    assert_eq!(suggestions("siglip2-base256"), ["siglip2-base-256"]);
    assert_eq!(suggestions("SigLIP-2"), ["siglip2-base-p32-256", "siglip2-base-224", "siglip2-base-256"]);
    assert!(suggestions("resnet").is_empty() && suggestions("").is_empty());
}

#[test]
fn services_of_a_siglip_need_a_squashed_square_and_full_texts() {
    let rules = ServiceRules::find("google/siglip2-base-patch16-256").unwrap();
    assert_eq!(rules.preprocessing.to_string(), "squash-256-bilinear");
    let texts = rules.texts("A cat!").unwrap();
    assert!(texts.len() == 2 && texts[0] == "a cat!" && texts[1].split_whitespace().count() >= 64, "{texts:?}");
    assert_eq!(rules.cleaning().name(), "+lower");
    let first = ServiceRules::find("google/siglip-base-patch16-384").unwrap();
    assert_eq!(
        (first.texts("!!!"), rules.texts(" "), rules.texts("!!!").map(|texts| texts.len())),
        (None, None, Some(2))
    );
    assert_eq!((first.preprocessing.to_string(), first.cleaning().name()), ("squash-384-bicubic".into(), "+canonical"));
    for (name, expected) in [
        ("google/siglip2-so400m-patch14-384", "squash-384-bilinear"),
        ("google/siglip2-giant-opt-patch16-256@main", "squash-256-bilinear"),
        ("google/siglip-so400m-patch16-256-i18n", "squash-256-bicubic"),
        ("SigLIP-base-patch16-512", "squash-512-bicubic"),
    ] {
        let rules = ServiceRules::find(name).unwrap();
        assert!(
            rules.preprocessing.to_string() == expected && rules.texts("A cat!").unwrap().len() == 2,
            "{name}: {rules:?}"
        );
    }
    for (name, expected) in
        [("apple/DFN5B-CLIP-ViT-H-14-378", "squash-378-bicubic"), ("jina-clip-v2", "crop-512-bicubic-even")]
    {
        let rules = ServiceRules::find(name).unwrap();
        assert!(
            rules.preprocessing.to_string() == expected && rules.texts("A cat!").unwrap() == ["A cat!"],
            "{name}: {rules:?}"
        );
    }
    for name in ["google/siglip2-base-patch16-naflex", "siglip", "my-siglip-patch16-256", "glimpse-mini-1"] {
        assert_eq!(ServiceRules::find(name), None, "{name}");
    }
    // Collections of these exist: they must be prepared as before.
    for name in ["openai/clip-vit-base-patch32", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "clip", "ViT-B/32"] {
        assert_eq!(ServiceRules::find(name), None, "{name}");
    }
}

/// The row of a model in the table of docs/models.md.
fn documented(model: &CatalogueModel) -> String {
    let mark = |field: &str| if model.is_unverified(field) { " ?" } else { "" };
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value}"));
    let size = |bytes: Option<u64>| bytes.map(|bytes| format!("{}", bytes / 1_000_000));
    let sizes = [size(model.bytes.fp32), size(model.bytes.int8)].map(|size| size.unwrap_or_else(|| "-".to_owned()));
    let gflops = model.gflops.map_or("-".to_owned(), |work| format!("{} / {}", work.image, work.text));
    let quality = [model.quality.coco, model.quality.flickr30k, model.quality.inquire, model.quality.xm3600];
    let languages = if model.languages == Languages::Many { "many" } else { "English" };
    format!(
        "| `{}` | {} | {}{} | {} | `{}` | {}{} | {} | {} | {}{} |",
        model.name,
        model.repository.as_ref().map_or("in the binary".to_owned(), |repository| format!("`{repository}`")),
        sizes.join(" / "),
        mark("bytes"),
        model.dimension,
        model.preprocessing,
        gflops,
        mark("gflops"),
        quality.map(number).join(" / "),
        languages,
        model.licence.as_deref().unwrap_or("-"),
        mark("licence"),
    )
}

#[test]
fn the_page_of_models_has_a_row_for_each_model() {
    let page = include_str!("../../../docs/models.md");
    let rows: Vec<_> = catalogue().iter().map(documented).collect();
    let missing = rows.iter().filter(|row| !page.contains(*row)).count();
    assert_eq!(missing, 0, "docs/models.md must have these rows:\n{}", rows.join("\n"));
}

#[test]
fn the_readme_has_the_recommended_models_with_quality_and_licence() {
    let readme = include_str!("../../../README.md");
    for model in catalogue().iter().filter(|model| model.recommended.is_some()) {
        let row = readme.lines().find(|line| line.contains(&format!("CLIP_MODEL={}`", model.name))).unwrap();
        let coco = format!("{:.1}", model.quality.coco.unwrap());
        assert!(row.contains(&coco) && row.contains(model.licence.as_ref().unwrap()), "{row}");
    }
}
