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

#[test]
fn siglip_is_always_padded_and_cleaned_by_its_tokenizer() {
    let spec = |config: &str| {
        let spec = read(&Family::Siglip, Layout::Towers, &[("tokenizer_config.json", config)]).unwrap();
        assert!(spec.pads_to_context && !spec.reads_end_token);
        (spec.context, spec.pad, spec.cleaning)
    };
    let name = |name: &str| PadToken::Name(name.to_owned());
    let one = r#"{"tokenizer_class":"SiglipTokenizer","pad_token":"</s>","model_max_length":64}"#;
    assert_eq!(spec(one), (64, name("</s>"), Cleaning::Canonical));
    let two = r#"{"tokenizer_class":"GemmaTokenizer","pad_token":{"content":"<pad>"},"model_max_length":1e30}"#;
    assert_eq!(spec(two), (64, name("<pad>"), Cleaning::Lower));
    let vocabulary = ("config.json", r#"{"text_config":{"vocab_size":256000}}"#);
    let bare = read(&Family::Siglip, Layout::Towers, &[vocabulary]).unwrap();
    assert_eq!((bare.pad, bare.cleaning), (PadToken::OfTokenizer, Cleaning::Lower));
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
