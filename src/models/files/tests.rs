use super::*;

fn names(towers: &[&str]) -> Vec<String> {
    let descriptions = ["config.json", "preprocessor_config.json", "tokenizer.json", "README.md"];
    descriptions.iter().chain(towers).map(|name| (*name).to_owned()).collect()
}

fn find(names: &[String], precision: Precision) -> Result<(Layout, String, String, Precision), String> {
    ModelFiles::find(names, precision, None)
        .map(|found| (found.layout, found.image.onnx, found.text.onnx, found.precision))
}

#[test]
fn every_layout_is_found() {
    for (towers, layout) in [
        (["onnx/vision_model.onnx", "onnx/text_model.onnx", "onnx/model.onnx", "vision_model.onnx"], Layout::Towers),
        (["vision_model.onnx", "text_model.onnx", "", ""], Layout::Towers),
        (["visual/model.onnx", "textual/model.onnx", "visual/a.weight", ""], Layout::Immich),
        (["visual.onnx", "text.onnx", "", ""], Layout::OpenClip),
        (["image.onnx", "text.onnx", "", ""], Layout::ShortNames),
        (["vision/onnx/model.onnx", "text/onnx/model.onnx", "", ""], Layout::Folders),
        (["vision/model.onnx", "text/model.onnx", "", ""], Layout::Folders),
        (["onnx/model.onnx", "onnx/model.onnx", "", ""], Layout::Combined),
        (["0_CLIPModel/vision_model.onnx", "0_CLIPModel/text_model.onnx", "", ""], Layout::Towers),
        (["onnx/s0/vision_model.onnx", "onnx/s0/text_model.onnx", "", ""], Layout::Towers),
    ] {
        let expected = (layout, towers[0].to_owned(), towers[1].to_owned(), Precision::Fp32);
        assert_eq!(find(&names(&towers), Precision::Auto), Ok(expected));
    }
}

#[test]
fn one_of_several_sizes_must_be_chosen() {
    let both = names(&[
        "onnx/s2/vision_model.onnx",
        "onnx/s2/text_model.onnx",
        "onnx/b/vision_model.onnx",
        "onnx/b/text_model.onnx",
        "onnx/b/preprocessor_config.json",
    ]);
    let error = find(&both, Precision::Auto).unwrap_err();
    assert!(error.contains("folders for each size (b, s2)") && error.contains("`:b`"), "{error}");
    let chosen = ModelFiles::find(&both, Precision::Auto, Some("b")).unwrap();
    assert_eq!(chosen.image.onnx, "onnx/b/vision_model.onnx");
    assert!(chosen.image.descriptions.contains(&"onnx/b/preprocessor_config.json".to_owned()), "{chosen:?}");
    assert!(chosen.image.descriptions.contains(&"config.json".to_owned()), "{chosen:?}");
    let unknown = |names: &[String]| ModelFiles::find(names, Precision::Auto, Some("s4")).unwrap_err();
    assert_eq!(unknown(&both), "it has no size `s4`; its sizes are b, s2");
    assert!(unknown(&names(&["vision_model.onnx", "text_model.onnx"])).contains("remove `:s4`"));
}

/// What was pulled before must not decide which model a name means.
#[test]
fn the_only_size_that_was_downloaded_is_not_taken_for_the_only_one() {
    let cached = names(&["onnx/s2/vision_model.onnx", "onnx/s2/text_model.onnx"]);
    let named = |size| ModelFiles::find(&cached, Precision::Auto, size).unwrap().with_named_size(&cached, size);
    assert!(named(None).unwrap_err().contains("such as `:s2`"));
    assert!(named(Some("s2")).is_ok());
    let unsized_model = names(&["onnx/vision_model.onnx", "onnx/text_model.onnx"]);
    let found = ModelFiles::find(&unsized_model, Precision::Auto, None).unwrap();
    assert!(found.with_named_size(&unsized_model, None).is_ok());
}

#[test]
fn an_error_names_a_missing_tower_and_files_that_are_not_supported() {
    for (files, message) in [
        (
            &["onnx/vision_model.onnx", "onnx/vision_model_q4.onnx"][..],
            "the model has no text tower: there is onnx/vision_model.onnx, but no onnx/text_model.onnx",
        ),
        (
            &["textual/model.onnx"],
            "the model has no image tower: there is textual/model.onnx, but no visual/model.onnx",
        ),
        (&["onnx/vision_model_bnb4.onnx"], "the model has no text tower: there is onnx/vision_model_bnb4.onnx"),
        (&["vision_model_fp16.onnx", "text_model_int8.onnx"], "its towers have no precision in common"),
        (
            &["onnx/vision_model_bnb4.onnx", "onnx/text_model_bnb4.onnx", "onnx/model_uint8.onnx"],
            "not supported (4 bits of bitsandbytes, _bnb4.onnx)",
        ),
        (&["onnx/other.onnx"], "there are no towers exported to ONNX"),
    ] {
        let error = find(&names(files), Precision::Auto).unwrap_err();
        assert!(error.contains(message) && error.contains(files[0]), "{error}");
    }
    let alone = ["onnx/model.onnx", "config.json", "preprocessor_config.json"].map(str::to_owned);
    let alone = find(&alone, Precision::Auto).unwrap_err();
    assert_eq!(alone, "there is no tokenizer.json, so onnx/model.onnx is not a network with both towers");
}

#[test]
fn int8_is_found_with_either_suffix_but_only_as_a_pair() {
    let both =
        names(&["onnx/vision_model_quantized.onnx", "onnx/text_model_quantized.onnx", "onnx/vision_model_int8.onnx"]);
    let expected = (
        Layout::Towers,
        "onnx/vision_model_quantized.onnx".to_owned(),
        "onnx/text_model_quantized.onnx".to_owned(),
        Precision::Int8,
    );
    assert_eq!(find(&both, Precision::Int8).as_ref(), Ok(&expected));
    assert_eq!(find(&both, Precision::Auto), Ok(expected));
    let error = find(&both, Precision::Fp32).unwrap_err();
    assert!(error.contains("set CLIP_PRECISION=int8"), "{error}");
}

#[test]
fn fp16_is_the_fallback_if_there_is_no_fp32() {
    let fp16 = ["vision_model_fp16.onnx", "text_model_fp16.onnx"];
    let fp32 = ["onnx/vision_model.onnx", "onnx/text_model.onnx"];
    let image = |names: &[String], precision| find(names, precision).map(|(_, image, _, precision)| (image, precision));
    let only = names(&fp16);
    for precision in [Precision::Auto, Precision::Fp32] {
        assert_eq!(image(&only, precision), Ok((fp16[0].to_owned(), Precision::Fp16)));
        assert!(ModelFiles::find_exact(&only, precision, None).unwrap_err().contains("set CLIP_PRECISION=fp16"));
    }
    assert!(find(&only, Precision::Int8).unwrap_err().contains("set CLIP_PRECISION=fp16"));
    let both = names(&[fp16, fp32].concat());
    assert_eq!(image(&both, Precision::Auto), Ok((fp32[0].to_owned(), Precision::Fp32)));
    assert_eq!(image(&both, Precision::Fp16), Ok((fp16[0].to_owned(), Precision::Fp16)));
}

#[test]
fn the_nearest_description_files_belong_to_a_tower() {
    let files = [
        "config.json",
        "visual/preprocess_cfg.json",
        "textual/tokenizer.json",
        "textual/tokenizer_config.json",
        "visual/model.onnx",
        "textual/model.onnx",
    ];
    let found = ModelFiles::find(&files.map(str::to_owned), Precision::Auto, None).unwrap();
    assert_eq!(found.image.descriptions, ["config.json", "visual/preprocess_cfg.json"]);
    assert_eq!(found.text.descriptions, ["config.json", "textual/tokenizer_config.json"]);
    assert_eq!(found.text.tokenizer.as_deref(), Some("textual/tokenizer.json"));
    let qdrant = ["model.onnx", "config.json", "preprocessor_config.json"].map(str::to_owned);
    let single = TowerFiles::find_single(&qdrant, Precision::Auto.accepted()).unwrap();
    assert_eq!((&*single.onnx, single.descriptions.len()), ("model.onnx", 2));
}

#[test]
fn an_error_names_the_missing_and_the_existing_files() {
    let error = |names: &[String]| find(names, Precision::Fp32).unwrap_err();
    let none = error(&names(&["model.safetensors"]));
    assert!(none.contains("no towers exported to ONNX") && none.contains("only weights for PyTorch"), "{none}");
    let other = error(&names(&["onnx/vision_model_uint8.onnx", "onnx/text_model_uint8.onnx", "onnx/model_bnb4.onnx"]));
    for name in ["onnx/vision_model_uint8.onnx", "onnx/text_model_uint8.onnx", "onnx/model_bnb4.onnx"] {
        assert!(other.contains(name), "{other}");
    }
    let many: Vec<_> = (0..500).map(|at| format!("onnx/{at}{}.onnx", "x".repeat(200))).collect();
    let many = error(&names(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(many.contains("and 488 more") && many.len() < 2_500, "{many}");
    let mut short = names(&["vision_model.onnx", "text_model.onnx"]);
    short.retain(|name| name != "tokenizer.json");
    assert_eq!(error(&short), "there is no tokenizer.json");
    short.push("tokenizer.json".to_owned());
    short.retain(|name| name != "preprocessor_config.json");
    assert!(error(&short).starts_with("there is no preprocessor_config.json"), "{}", error(&short));
}
