//! Tests of the records of models.

use super::*;

fn settings(variables: &[(&str, &str)]) -> Settings {
    Settings::from_variables(variables.iter().copied()).unwrap()
}

/// Every setting of a model survives the way through its record.
#[test]
fn the_settings_of_a_record_describe_the_same_model() {
    for variables in [
        vec![],
        vec![("CLIP_MODEL", "org/model"), ("CLIP_PRECISION", "int8"), ("IMAGE_TARGET_SIZE", "256")],
        vec![("IMAGE_RESIZE", "pad"), ("IMAGE_PAD_COLOR", "ffffff"), ("IMAGE_COLOR", "srgb")],
        vec![("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", "http://clip")],
        vec![("IMAGE_EMBEDDING_PROVIDER", "openai"), ("CLIP_URL", "http://clip"), ("CLIP_MODEL", "m")],
        vec![("IMAGE_EMBEDDING_PROVIDER", "ollama"), ("OLLAMA_MODEL", "text"), ("OLLAMA_VISION_MODEL", "vision")],
    ] {
        let settings = settings(&variables);
        let record = default_record(&settings);
        assert_eq!(default_record(&settings_of(&settings, &record).unwrap()), record);
    }
}

#[test]
fn a_model_of_this_process_needs_no_provider_and_a_service_needs_its_address() {
    let served = settings(&[("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", "http://clip")]);
    let local = settings_of(&served, &default_record(&Settings::default())).unwrap();
    assert_eq!(local.embed.image_embedding_provider, ProviderKind::Local);
    let error = settings_of(&Settings::default(), &default_record(&served)).unwrap_err().to_string();
    assert!(error.contains("CLIP_URL"), "{error}");
    let openai = settings(&[("IMAGE_EMBEDDING_PROVIDER", "openai"), ("CLIP_URL", "http://o"), ("CLIP_MODEL", "m")]);
    let error = settings_of(&openai, &default_record(&served)).unwrap_err().to_string();
    assert!(error.contains("IMAGE_EMBEDDING_PROVIDER is `openai`"), "{error}");
}

#[test]
fn the_key_of_a_provider_is_not_sent_to_another_one() {
    let settings = settings(&[("CLIP_API_KEY", "hush"), ("CLIP_URL_NEW", "http://new"), ("CLIP_TIMEOUT_NEW", "7")]);
    let request = ModelRequest { provider: Some("new".to_owned()), ..ModelRequest::default() };
    let record = resolve(&settings, &default_record(&settings), &request).unwrap();
    assert_eq!((&*record.provider, &*record.kind, &*record.model), ("new", "clip", "clip"));
    let own = settings_of(&settings, &record).unwrap().embed;
    assert_eq!((own.clip_api_key.reveal(), own.clip_url.unwrap().as_str()), ("", "http://new"));
    assert_eq!(own.clip_timeout.duration().as_secs(), 7);
    let error = settings_of(&Settings::default(), &record).unwrap_err().to_string();
    assert!(error.contains("set CLIP_URL_NEW"), "{error}");
}

#[test]
fn a_request_changes_only_what_it_names() {
    let settings =
        settings(&[("IMAGE_PAD_COLOR", "ffffff"), ("IMAGE_TARGET_SIZE", "256"), ("CLIP_URL_NEW", "http://n")]);
    let base = default_record(&settings);
    let resolved = |request| resolve(&settings, &base, &request).unwrap();
    assert_eq!(resolved(ModelRequest::default()), base);
    let padded = resolved(ModelRequest { resize: Some("pad".to_owned()), ..ModelRequest::default() });
    let expected = ModelRecord { resize: "pad".to_owned(), pad_color: Some("ffffff".to_owned()), ..base.clone() };
    assert_eq!(padded, expected);
    let other = resolved(ModelRequest { model: Some("org/model".to_owned()), ..ModelRequest::default() });
    assert_eq!((&*other.model, other.target_size), ("org/model", None));

    let refused = |request| resolve(&settings, &base, &request).unwrap_err().to_string();
    let provider = refused(ModelRequest { provider: Some("old".to_owned()), ..ModelRequest::default() });
    assert!(provider.contains("`default`, `local`, `new`"), "{provider}");
    for (request, field) in [
        (ModelRequest { resize: Some("squash".to_owned()), ..ModelRequest::default() }, "resize"),
        (ModelRequest { precision: Some("fp8".to_owned()), ..ModelRequest::default() }, "precision"),
        (ModelRequest { model: Some(" ".to_owned()), ..ModelRequest::default() }, "model"),
    ] {
        assert!(refused(request).starts_with(field));
    }
    let served = ModelRequest {
        provider: Some("new".to_owned()),
        precision: Some("int8".to_owned()),
        ..ModelRequest::default()
    };
    assert!(refused(served).contains("does not run in this process"));
}
