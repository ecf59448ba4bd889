use super::*;

fn files(files: &[(&str, &str)]) -> Descriptions {
    let files = files.iter().map(|(name, json)| ((*name).to_owned(), json.as_bytes().to_vec()));
    Descriptions::parse(files).unwrap()
}

fn read(family: &Family, layout: Layout, json: &[(&str, &str)]) -> Result<TextSpec, String> {
    TextSpec::read(family, layout, &files(json))
}

fn open_clip(layout: Layout, text_cfg: &str) -> Result<TextSpec, String> {
    let files = files(&[("config.json", &format!(r#"{{"embed_dim":8,"text_cfg":{text_cfg}}}"#))]);
    TextSpec::read(&Family::find("x", layout, &files)?, layout, &files)
}

#[test]
fn clip_is_padded_with_0_and_only_if_it_must_be() {
    let config = ("config.json", r#"{"text_config":{"max_position_embeddings":99},"text_config_dict":null}"#);
    let pad = ("tokenizer_config.json", r#"{"pad_token":"<|endoftext|>","model_max_length":77}"#);
    let clip = read(&Family::Clip, Layout::Towers, &[config, pad]).unwrap();
    assert_eq!(
        (clip.context, clip.pad, clip.pads_to_context, clip.reads_end_token),
        (99, PadToken::Id(0), false, true)
    );
    assert_eq!(read(&Family::Clip, Layout::Towers, &[pad]).unwrap().context, 77);
    let own = ("config.json", r#"{"model_type":"clip_text_model","max_position_embeddings":33}"#);
    assert_eq!(read(&Family::Clip, Layout::Towers, &[own]).unwrap().context, 33);
    let wrong = ("config.json", r#"{"text_config":{"max_position_embeddings":1}}"#);
    assert!(read(&Family::Clip, Layout::Towers, &[wrong]).unwrap_err().contains("between 3 and"));
}

const UNIGRAM: &str = r#"{"model":{"type":"Unigram","vocab":[]}}"#;
const BPE: &str = r#"{"model":{"type":"BPE","vocab":{},"merges":[]}}"#;

fn siglip(tokenizer: &str, config: &str) -> Result<TextSpec, String> {
    let files = files(&[("tokenizer_config.json", config)]).with_tokenizer(tokenizer.as_bytes())?;
    TextSpec::read(&Family::Siglip, Layout::Towers, &files)
}

#[test]
fn siglip_is_always_padded_and_cleaned_by_its_tokenizer() {
    let spec = |tokenizer: &str, config: &str| {
        let spec = siglip(tokenizer, config).unwrap();
        assert!(spec.pads_to_context && !spec.reads_end_token);
        (spec.context, spec.pad, spec.cleaning)
    };
    let one = (64, PadToken::Name("</s>".to_owned()), Cleaning::Canonical);
    let two = (64, PadToken::Name("<pad>".to_owned()), Cleaning::Lower);
    for config in [
        r#"{"tokenizer_class":"SiglipTokenizer","pad_token":"</s>","model_max_length":64}"#,
        r#"{"tokenizer_class":"TokenizersBackend"}"#,
        "{}",
    ] {
        assert_eq!(spec(UNIGRAM, config), one, "{config}");
    }
    for config in [
        r#"{"tokenizer_class":"GemmaTokenizer","pad_token":{"content":"<pad>"},"model_max_length":1e30}"#,
        r#"{"tokenizer_class":"TokenizersBackend"}"#,
        "{}",
    ] {
        assert_eq!(spec(BPE, config), two, "{config}");
    }
}

#[test]
fn siglip_with_files_of_the_other_version_is_refused() {
    let word_piece = r#"{"model":{"type":"WordPiece","vocab":{}}}"#;
    for (tokenizer, config, message) in [
        (
            BPE,
            r#"{"tokenizer_class":"SiglipTokenizer"}"#,
            "tokenizer_class is \"SiglipTokenizer\", but tokenizer.json is BPE",
        ),
        (UNIGRAM, r#"{"tokenizer_class":"GemmaTokenizerFast"}"#, "as that of a SigLIP; both files"),
        (BPE, r#"{"pad_token":"</s>"}"#, "pad_token is \"</s>\"; a SigLIP 2 was trained with \"<pad>\""),
        (word_piece, "{}", "tokenizer.json: its model is WordPiece"),
    ] {
        let error = siglip(tokenizer, config).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(read(&Family::Siglip, Layout::Towers, &[]).unwrap_err(), "there is no tokenizer.json");
}

#[test]
fn a_wrong_number_of_tokens_is_refused_with_its_file_and_key() {
    let length = |json: &str| read(&Family::MetaClip2, Layout::Towers, &[("tokenizer_config.json", json)]);
    assert_eq!(
        length(r#"{"model_max_length":0}"#).unwrap_err(),
        "tokenizer_config.json: model_max_length is 0; it must be between 3 and 2048"
    );
    for wrong in [r#"{"model_max_length":-1}"#, r#"{"model_max_length":"77"}"#] {
        let error = length(wrong).unwrap_err();
        assert!(error.starts_with("tokenizer_config.json: model_max_length is"), "{error}");
    }
    for (json, context) in [(r#"{"model_max_length":null}"#, 77), (r#"{"model_max_length":50}"#, 50), ("{}", 77)] {
        assert_eq!(length(json).unwrap().context, context, "{json}");
    }
}

#[test]
fn the_size_of_the_vocabulary_is_that_of_the_text_tower() {
    let vocabulary = |family: &Family, files: &[(&str, &str)]| read(family, Layout::Towers, files).unwrap().vocabulary;
    let config = ("config.json", r#"{"vocab_size":9,"text_config":{"vocab_size":420}}"#);
    assert_eq!(vocabulary(&Family::Clip, &[config]), Some((420, "config.json")));
    let alone = ("config.json", r#"{"vocab_size":30528}"#);
    assert_eq!(vocabulary(&Family::Nomic, &[alone]), Some((30_528, "config.json")));
    assert_eq!(vocabulary(&Family::Nomic, &[("config.json", r#"{"vocab_size":0}"#)]), None);
    let model = ("model_config.json", r#"{"vocab_size":49408}"#);
    assert_eq!(vocabulary(&Family::Clip, &[config, model]), Some((49_408, "model_config.json")));
    assert_eq!(open_clip(Layout::Immich, r#"{"vocab_size":7}"#).unwrap().vocabulary, Some((7, "config.json")));
}

#[test]
fn the_words_of_open_clip_give_the_rules_of_the_text_tower() {
    let clip = open_clip(Layout::OpenClip, "{}").unwrap();
    assert_eq!((clip.context, clip.pad, clip.cleaning), (77, PadToken::Id(0), Cleaning::LowerSpaces));
    assert!(clip.reads_end_token && !clip.pads_to_context);
    let siglip = r#"{"context_length":64,"hf_tokenizer_name":"timm/x","tokenizer_kwargs":{"clean":"canonicalize"},
        "no_causal_mask":true,"pool_type":"last"}"#;
    let siglip2 = open_clip(Layout::Immich, siglip).unwrap();
    assert_eq!((siglip2.context, siglip2.cleaning), (64, Cleaning::CanonicalImmich));
    assert!(siglip2.pads_to_context && !siglip2.reads_end_token);
    assert_eq!(open_clip(Layout::OpenClip, siglip).unwrap().cleaning, Cleaning::CanonicalOpenClip);
    let nllb = r#"{"hf_model_name":"facebook/nllb-200","hf_tokenizer_name":"facebook/nllb-200"}"#;
    let nllb = open_clip(Layout::Immich, nllb).unwrap();
    assert_eq!((nllb.language, nllb.pads_to_context, nllb.reads_end_token), (Some("eng_Latn"), false, false));
    let clipa = r#"{"tokenizer_kwargs":{"strip_sep_token":true}}"#;
    assert!(open_clip(Layout::OpenClip, clipa).unwrap_err().contains("strip_sep_token is true"));
}

#[test]
fn a_model_config_names_the_pad_token_and_lower_case() {
    let model = ("model_config.json", r#"{"pad_id":1,"tokenizer_needs_lowercase":true}"#);
    let spec = read(&Family::MetaClip2, Layout::OpenClip, &[model]).unwrap();
    assert_eq!((spec.pad, spec.cleaning), (PadToken::Id(1), Cleaning::Lower));
}

#[test]
fn nomic_has_a_prefix_and_long_contexts_are_limited() {
    let nomic = read(&Family::Nomic, Layout::Folders, &[("tokenizer_config.json", r#"{"model_max_length":8192}"#)]);
    assert_eq!(nomic.map(|spec| (spec.prefix, spec.context)), Ok(("search_query: ", 2_048)));
}
