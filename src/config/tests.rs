//! Tests of the settings.

use super::*;

fn error_of(pairs: &[(&str, &str)]) -> String {
    Settings::from_variables(pairs.iter().copied()).unwrap_err().to_string()
}

#[test]
fn without_variables_everything_is_embedded() {
    let settings = Settings::from_variables([("UNRELATED", "1"), ("S3_BUCKET", "")]).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.source.s3_endpoint.to_string(), "embedded");
    assert_eq!(settings.source.s3_bucket, "pipeline");
}

#[test]
fn variables_are_read_into_the_settings_of_their_module() {
    let settings = Settings::from_variables([
        ("S3_ENDPOINT", "http://minio:9000"),
        ("S3_PATH_STYLE", "false"),
        ("IMAGE_MAX_SIZE_MB", "7"),
        ("GLIMPSE_API_KEY", "one,two"),
        ("GLIMPSE_DATA_DIR", "/var/lib/glimpse"),
    ])
    .unwrap();
    assert_eq!(settings.source.s3_endpoint.to_string(), "http://minio:9000");
    assert!(!settings.source.s3_path_style);
    assert_eq!(settings.imaging.limits().max_bytes, 7 * 1024 * 1024);
    assert_eq!(settings.api.keys().len(), 2);
    assert_eq!(settings.locations.glimpse_data_dir, std::path::Path::new("/var/lib/glimpse"));
}

#[test]
fn every_invalid_setting_is_named() {
    for (name, value, allowed) in [
        ("IMAGE_EMBED_BATCH_SIZE", "many", "between 1 and 1024"),
        ("IMAGE_BATCH_SIZE", "0", "between 1 and 10000"),
        ("GLIMPSE_LEASE_SECONDS", "3601", "between 1 and 3600"),
        ("GLIMPSE_MEMORY_MB", "-1", "between 16 and 1048576"),
        ("GLIMPSE_ADDR", "localhost", "IP:PORT"),
        ("GLIMPSE_CORS_ORIGINS", "https://a.example,*", "every website"),
        ("GLIMPSE_PUBLIC_URL", "photos", "scheme://host"),
        ("GLIMPSE_RESUME", "maybe", "`true` or `false`"),
        ("GLIMPSE_S3_ADDR", "9100", "IP:PORT"),
        ("GLIMPSE_LOG", "inof", "info"),
        ("GLIMPSE_LOG_FORMAT", "xml", "`pretty` or `json`"),
        ("IMAGE_EMBEDDING_PROVIDER", "torch", "`multi2vec`"),
        ("CLIP_PRECISION", "fp8", "int8"),
        ("CLIP_ENGINE", "torch", "`onnxruntime`"),
        ("CLIP_DEVICE", "gpu", "`cuda:1`"),
        ("IMAGE_RESIZE", "squash", "`crop` or `pad`"),
        ("IMAGE_EXIF", "gps", "`none`, `basic` or `all`"),
        ("IMAGE_COLOR", "p3", "`reference` or `srgb`"),
        ("IMAGE_PAD_COLOR", "red", "RRGGBB"),
        ("IMAGE_TARGET_SIZE", "8", "between 16 and 2048"),
        ("S3_BUCKET", "a/b", "without `/`"),
        ("S3_EXCLUDE", "[", "`[`"),
        ("S3_LIST_LANES", "0", "between 1 and 64"),
        ("S3_REQUEST_PAYER", "me", "`requester`"),
        ("VECTOR_DB_PROVIDER", "pinecone", "`weaviate`"),
        ("VECTOR_DB_QUANTIZATION", "binary", "`int8` or `none`"),
        ("VECTOR_DB_RECALL_MAX_MS", "0", "between 1 and 60000"),
        ("HF_ENDPOINT", "foo", "http://"),
        ("CLIP_URL", "clip:8000", "http://"),
        ("CLIP_ENDPOINT", "clip:8000", "http://"),
        ("OLLAMA_BASE_URL", "ollama", "http://"),
        ("QDRANT_URL", "http://qdrant:6334/path", "must not have a path"),
        ("WEAVIATE_URL", "weaviate", "http://"),
        ("WEAVIATE_GRPC_URL", "http://weaviate/path", "must not have a path"),
        ("GLIMPSE_URL", "bogus", "http://"),
        ("GLIMPSE_JWKS_URL", "sso.example", "http://"),
        ("GLIMPSE_JWT_ROLES", "ops=root", "GROUP=ROLE"),
        ("GLIMPSE_JWT_ROLES_CLAIM", "realm_access..roles", "names"),
        ("GLIMPSE_ADVERTISED_URL", "glimpse:8080", "http://"),
        ("RAY_ADDRESS", "10.0.0.1:6379", "http://"),
        ("RAY_NUM_WORKERS", "bogus", "between 1 and 1000"),
        ("RAY_NUM_WORKERS", "0", "between 1 and 1000"),
        ("RAY_TASK_NUM_CPUS", "0", "between 1 and 1024"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http://"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "`http/protobuf`"),
        ("OTEL_TRACES_SAMPLER_ARG", "10%", "from 0 to 1"),
        ("GLIMPSE_TRACE_IMAGES", "2", "from 0 to 1"),
        ("RAY_DRIVER", "a; rm b", "a path of letters"),
        ("RAY_DRIVER", "-c", "does not start with `-`"),
        ("S3_CIRCUIT_BREAKER_THRESHOLD", "1001", "between 1 and 1000"),
        ("CLIP_CIRCUIT_BREAKER_THRESHOLD", "1001", "between 1 and 1000"),
    ] {
        let error = error_of(&[(name, value)]);
        assert!(error.starts_with(&format!("settings: {name} is `{value}`; ")), "{error}");
        assert!(error.contains(allowed), "{error}");
    }
    let both = error_of(&[("S3_ENDPOINT", "minio"), ("VECTOR_DB_COLLECTION", "1x")]);
    assert!(both.contains("S3_ENDPOINT") && both.contains("VECTOR_DB_COLLECTION"), "{both}");
    let all = [("RAY_ADDRESS", "bogus"), ("HF_ENDPOINT", "foo"), ("S3_TIMEOUT", "0"), ("GLIMPSE_LOG", "inof")];
    let error = error_of(&all);
    assert!(all.iter().all(|(name, value)| error.contains(&format!("{name} is `{value}`; "))), "{error}");
    for name in ["S3_ENDPOINT", "CLIP_URL", "QDRANT_URL", "RAY_ADDRESS"] {
        let password = error_of(&[(name, "http://me:hush@there")]);
        assert!(password.contains(&format!("{name} is `http://***@there`; ")), "{password}");
    }
    assert!(error_of(&[("QDRANT_API_KEY", "hush hush")]).contains("QDRANT_API_KEY contains a space"));
    assert!(error_of(&[("S3_ACCESS_KEY_ID", "a")]).contains("S3_SECRET_ACCESS_KEY"));
    assert!(error_of(&[("GLIMPSE_TLS_CERT", "a")]).contains("needs GLIMPSE_TLS_KEY"));
    assert!(error_of(&[("GLIMPSE_TLS_KEY", "a")]).contains("needs GLIMPSE_TLS_CERT"));
}

#[test]
fn former_names_are_still_read_and_the_new_name_wins() {
    let settings = Settings::from_variables([("GLIMPSE_LEASE_SIZE", "64"), ("CLIP_MAX_BATCH_SIZE", "4")]).unwrap();
    assert_eq!((settings.jobs.image_batch_size, settings.pipeline.image_embed_batch_size), (64, 4));
    let both = [("glimpse_lease_size", "64"), ("IMAGE_BATCH_SIZE", "5")];
    assert_eq!(Settings::from_variables(both).unwrap().jobs.image_batch_size, 5);
    let error = error_of(&[("GLIMPSE_LEASE_SIZE", "0")]);
    assert!(error.contains("GLIMPSE_LEASE_SIZE is the former name of IMAGE_BATCH_SIZE"), "{error}");
}

/// Returns the names of the secrets that are set.
fn redacted(settings: &Settings) -> Vec<String> {
    let values = serde_json::to_value(settings).unwrap();
    let fields = values.as_object().unwrap().values().flat_map(|part| part.as_object().unwrap());
    // Of a URL with a secret, the host is shown.
    let is_redacted =
        |value: &serde_json::Value| value.as_str().is_some_and(|text| text == "(redacted)" || text.ends_with("/***"));
    fields.filter(|(_, value)| is_redacted(value)).map(|(name, _)| name.to_uppercase()).collect()
}

/// Returns a value of a setting that is a secret, or that could be one.
fn value_of(name: &str) -> &'static str {
    match name {
        "GLIMPSE_WEBHOOK_URL" => "https://hooks.example/hush",
        "GLIMPSE_WEBHOOK_SECRET" => "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
        "OTEL_EXPORTER_OTLP_HEADERS" => "api-key=hush",
        _ => "1",
    }
}

#[test]
fn every_secret_is_in_the_list() {
    let names: BTreeSet<String> = Settings::defaults().into_iter().map(|(name, _)| name).collect();
    let set = |name: &String| Variables::from([(name.to_lowercase(), value_of(name).to_owned())]);
    let secrets = names.iter().flat_map(|name| redacted(&Settings::read(&mut set(name), &mut Vec::new()).unwrap()));
    assert_eq!(secrets.collect::<Vec<_>>(), secret_files::SECRETS);
    let page = include_str!("../../docs/settings.md");
    let missing: Vec<_> = secret_files::names().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, Vec::<String>::new(), "docs/settings.md does not name them");
    let missing: Vec<_> = former_names::names().filter(|name| !page.contains(&format!("| `{name}` |"))).collect();
    assert_eq!(missing, Vec::<&str>::new(), "docs/settings.md does not name them");
}

#[test]
fn every_secret_can_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let file = path.to_str().unwrap();
    for name in secret_files::SECRETS {
        std::fs::write(&path, format!("{}\r\n", value_of(name))).unwrap();
        let named = format!("{name}_FILE");
        let key_id = if name.starts_with("S3_") { "id" } else { "" };
        let settings = Settings::from_variables([(&*named, file), ("S3_ACCESS_KEY_ID", key_id)]).unwrap();
        assert_eq!(redacted(&settings), [name]);
        let both = error_of(&[(name, "a"), (&named, file)]);
        assert!(both.contains(&format!("{name} and {named} are both set")), "{both}");
        let missing = error_of(&[(&named, "/missing/file")]);
        assert!(missing.contains(&format!("{named} is `/missing/file`, which")), "{missing}");
        assert!(missing.contains("No such file"), "{missing}");
    }
    std::fs::write(&path, "hush\r\n").unwrap();
    let settings = Settings::from_variables([("GLIMPSE_API_KEY_FILE", file)]).unwrap();
    assert_eq!(settings.api.glimpse_api_key.reveal(), "hush");
    std::fs::write(&path, "\n").unwrap();
    assert!(error_of(&[("GLIMPSE_API_KEY_FILE", file)]).contains("is empty"));
    // A device that never ends is not read.
    assert!(error_of(&[("GLIMPSE_API_KEY_FILE", "/dev/zero")]).contains("not a regular file"));
}

#[test]
fn the_case_of_words_does_not_matter() {
    for (name, value) in [
        ("GLIMPSE_ACCESS_LOG", "off"),
        ("GLIMPSE_ACCESS_LOG", "stderr"),
        ("GLIMPSE_ALLOW_ANONYMOUS", "true"),
        ("GLIMPSE_DISK_MIN_FREE", "off"),
        ("GLIMPSE_DISK_MIN_FREE", "5 gb"),
        ("GLIMPSE_JWT_ROLES", "*=read"),
        ("GLIMPSE_LOG_FORMAT", "json"),
        ("GLIMPSE_UPLOADS", "off"),
        ("S3_ENDPOINT", "aws"),
        ("S3_REQUEST_PAYER", "requester"),
        ("S3_EXCLUDE", "none"),
        ("IMAGE_EMBEDDING_PROVIDER", "ollama"),
        ("IMAGE_RESIZE", "pad"),
        ("IMAGE_COLOR", "srgb"),
        ("IMAGE_PAD_COLOR", "ffeedd"),
        ("IMAGE_EXIF", "all"),
        ("CLIP_PRECISION", "int8"),
        ("CLIP_ENGINE", "onnxruntime"),
        ("CLIP_DEVICE", "cuda:1"),
        ("VECTOR_DB_PROVIDER", "embedded,qdrant"),
        ("VECTOR_DB_PROVIDER", "all"),
        ("VECTOR_DB_QUANTIZATION", "none"),
    ] {
        let read = |value: String| {
            let (mut variables, mut errors) = (BTreeMap::from([(name.to_lowercase(), value)]), Vec::new());
            let settings = Settings::read(&mut variables, &mut errors).unwrap();
            assert_eq!(errors, Vec::<String>::new());
            settings
        };
        let lower = read(value.to_owned());
        assert_eq!(read(value.to_uppercase()), lower, "{name}");
    }
}

#[test]
fn secrets_are_redacted_in_output() {
    let pairs = [("GLIMPSE_API_KEY", "hush1"), ("S3_ACCESS_KEY_ID", "id"), ("S3_SECRET_ACCESS_KEY", "hush2")];
    let settings = Settings::from_variables(pairs).unwrap();
    let printed = format!("{settings:?}{}", serde_json::to_string(&settings).unwrap());
    assert!(!printed.contains("hush"), "{printed}");
}

#[test]
fn the_service_is_expected_at_glimpse_addr_unless_glimpse_url_is_set() {
    let url =
        |pairs: &[(&str, &str)]| Settings::from_variables(pairs.iter().copied()).unwrap().service_url().to_string();
    assert_eq!(url(&[]), "http://127.0.0.1:8080");
    assert_eq!(url(&[("GLIMPSE_ADDR", "0.0.0.0:9000"), ("GLIMPSE_API_KEY", "k")]), "http://127.0.0.1:9000");
    assert_eq!(url(&[("GLIMPSE_ADDR", "[::1]:9000")]), "http://[::1]:9000");
    let tls = [("GLIMPSE_TLS_CERT", "c.pem"), ("GLIMPSE_TLS_KEY", "k.pem")];
    assert_eq!(url(&tls), "https://127.0.0.1:8080");
    assert_eq!(url(&[("GLIMPSE_ADDR", "127.0.0.1:9000"), ("GLIMPSE_URL", "http://there:1")]), "http://there:1");
}

#[test]
fn a_setting_that_has_no_effect_gives_a_warning_with_the_reason() {
    let warnings = |pairs: &[(&str, &str)]| Settings::from_variables(pairs.iter().copied()).unwrap().without_effect();
    assert_eq!(warnings(&[]), Vec::<String>::new());
    let clip = ("CLIP_URL", "http://clip:8000");
    assert_eq!(warnings(&[("IMAGE_EMBEDDING_PROVIDER", "clip"), clip]), Vec::<String>::new());
    for (set, reason) in [
        (clip, "IMAGE_EMBEDDING_PROVIDER is `local`"),
        (("OLLAMA_MODEL", "m"), "IMAGE_EMBEDDING_PROVIDER is `local`"),
        (("CLIP_PRECISION", "int8"), "CLIP_MODEL is `glimpse-mini-1`, which has one precision"),
        (("ORT_DYLIB_PATH", "/lib/libonnxruntime.so"), "CLIP_ENGINE is `rten`"),
        (("QDRANT_URL", "http://qdrant:6334"), "VECTOR_DB_PROVIDER is `embedded`"),
        (("WEAVIATE_API_KEY", "k"), "VECTOR_DB_PROVIDER is `embedded`"),
    ] {
        assert_eq!(warnings(&[set]), [format!("{} is set but has no effect, because {reason}", set.0)]);
    }
    let ollama = warnings(&[("IMAGE_EMBEDDING_PROVIDER", "ollama"), ("CLIP_MODEL", "org/clip")]);
    assert!(ollama.len() == 1 && ollama[0].starts_with("CLIP_MODEL"), "{ollama:?}");
}
