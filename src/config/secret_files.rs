//! Secrets from files: `NAME_FILE` names a file that has the value of `NAME`, as container platforms mount secrets.

use std::io::Read;
use std::path::Path;

use super::named_providers;
use super::variables::Variables;

/// Every setting that is a secret.
pub(super) const SECRETS: [&str; 12] = [
    "CLIP_API_KEY",
    "GLIMPSE_API_KEY",
    "GLIMPSE_WEBHOOK_SECRET",
    "GLIMPSE_WEBHOOK_URL",
    "GLIMPSE_WORKER_TOKEN",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "QDRANT_API_KEY",
    "RAY_AUTH_TOKEN",
    "S3_SECRET_ACCESS_KEY",
    "WEAVIATE_API_KEY",
];

/// Maximum size of such a file: a larger one is the wrong file.
const MAX_BYTES: usize = 64 * 1024;

/// Returns the names of the variables that name files.
pub(super) fn names() -> impl Iterator<Item = String> {
    SECRETS.iter().map(|name| format!("{name}_FILE"))
}

/// Replaces each `NAME_FILE` by `NAME` with the content of the file. Line breaks at its end do not belong to the secret.
/// Appends a message to `errors` for each file that cannot be used.
pub(super) fn read(variables: &mut Variables, errors: &mut Vec<String>) {
    let named = named_providers::secrets_in_files(variables);
    let secrets = SECRETS.iter().map(|secret| (*secret).to_owned()).chain(named);
    for secret in secrets {
        let file = format!("{secret}_FILE");
        let Some(path) = variables.remove(&file.to_lowercase()) else { continue };
        if variables.contains_key(&secret.to_lowercase()) {
            errors.push(format!("{secret} and {file} are both set; set one of them"));
            continue;
        }
        match content(Path::new(&path)) {
            Ok(value) => drop(variables.insert(secret.to_lowercase(), value)),
            Err(reason) => errors.push(format!("{file} is `{path}`, which cannot be used: {reason}")),
        }
    }
}

fn content(path: &Path) -> Result<String, String> {
    // A device or a pipe may never end, and is not opened.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("the file has more than {MAX_BYTES} bytes, which is the maximum for a secret"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())?;
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() { Err("the file is empty".to_owned()) } else { Ok(value.to_owned()) }
}
