//! Warns of environment variables that look like settings but are not: a misspelt setting has no effect.

use std::collections::BTreeSet;

use super::named_providers;
use crate::domain::nearest;

/// Only Glimpse uses variables with this prefix.
const OWN_PREFIX: &str = "GLIMPSE_";
/// Other software may also use variables with these prefixes.
const SHARED_PREFIXES: [&str; 7] = ["S3_", "CLIP_", "IMAGE_", "VECTOR_DB_", "QDRANT_", "WEAVIATE_", "THUMBNAIL_"];
/// Variables that the Ray driver and the tests set for other programs.
const OTHER_PROGRAMS: [&str; 6] = [
    "GLIMPSE_SERVICE_URL",
    "GLIMPSE_JOB_ID",
    "GLIMPSE_RAY_WORKERS",
    "GLIMPSE_RAY_CPUS",
    "GLIMPSE_WORKER_BIN",
    "GLIMPSE_AXE",
];
/// Maximum number of warnings, so that an unusual environment does not fill the log.
const MAX_WARNINGS: usize = 20;

/// Returns a warning for each variable that looks like a setting and is not one.
pub(super) fn warnings(names: impl Iterator<Item = String>) -> Vec<String> {
    let known = super::names();
    let names: Vec<String> = names.collect();
    let is_set = |url: &String| names.iter().any(|name| name.eq_ignore_ascii_case(url));
    let mut warnings: Vec<String> = Vec::new();
    for name in &names {
        warnings.extend(match named_providers::url_variable(name) {
            Some(url) if is_set(&url) => None,
            Some(url) => Some(format!("{name} has no effect, because {url} is not set")),
            None => warning(name, &known),
        });
    }
    warnings.sort();
    warnings.truncate(MAX_WARNINGS);
    warnings
}

fn warning(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let upper = name.to_uppercase();
    if known.contains(&upper) || OTHER_PROGRAMS.contains(&upper.as_str()) || is_kubernetes_link(&upper) {
        return None;
    }
    let nearest = nearest(&upper, known.iter().map(String::as_str));
    let shared = SHARED_PREFIXES.iter().any(|prefix| upper.starts_with(prefix));
    // A name without one of the prefixes must be more similar: `GLMPSE_API_KEY`, but not `S3CMD_BUCKET`.
    let is_typo = |known: &&str| strsim::osa_distance(&upper, known) <= 2 && known.len() > 8;
    let name: String = name.chars().take(100).collect();
    match nearest {
        Some(known) if upper.starts_with(OWN_PREFIX) || shared || is_typo(&known) => {
            Some(format!("{name} is not a setting and has no effect; did you mean {known}?"))
        }
        _ if upper.starts_with(OWN_PREFIX) => Some(format!("{name} is not a setting and has no effect")),
        _ => None,
    }
}

/// Whether the variable is one that Kubernetes sets in every container for a Service with the name `glimpse`, `qdrant`…
fn is_kubernetes_link(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP", "_UDP", "_TCP_PROTO", "_TCP_PORT", "_TCP_ADDR"]
        .iter()
        .any(|end| name.ends_with(end))
        || name.contains("_SERVICE_PORT_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_named_with_the_nearest_one() {
        for (name, nearest) in [
            ("GLIMPSE_APIKEY", "GLIMPSE_API_KEY"),
            ("GLIMPSE_JOB_AT_ONCE", "GLIMPSE_JOBS_AT_ONCE"),
            ("S3_BUCKETS", "S3_BUCKET"),
            ("CLIP_MODLE", "CLIP_MODEL"),
            ("GLMPSE_API_KEY", "GLIMPSE_API_KEY"),
            ("VECTORDB_PROVIDER", "VECTOR_DB_PROVIDER"),
            ("weaviate_ulr", "WEAVIATE_URL"),
        ] {
            let found = warnings([name.to_owned()].into_iter());
            assert_eq!(found, [format!("{name} is not a setting and has no effect; did you mean {nearest}?")]);
        }
        let found = warnings(["CLIP_MODEL_NEW".to_owned()].into_iter());
        assert_eq!(found, ["CLIP_MODEL_NEW has no effect, because CLIP_URL_NEW is not set"]);
        assert_eq!(warnings(["GLIMPSE_WHATEVER_ELSE_IT_IS".to_owned()].into_iter()).len(), 1);
    }

    #[test]
    fn known_variables_and_those_of_other_programs_give_no_warning() {
        let names = [
            "PATH",
            "HOME",
            "S3_BUCKET",
            "s3_bucket",
            "GLIMPSE_PORT",
            "GLIMPSE_SERVICE_HOST",
            "GLIMPSE_SERVICE_PORT_HTTP",
        ];
        let more = [
            "GLIMPSE_PORT_8080_TCP_ADDR",
            "RAY_RUNTIME_ENV_HOOK",
            "CLIP_URL_NEW",
            "CLIP_MODEL_NEW",
            "HF_XET_CACHE",
            "OLLAMA_KEEP_ALIVE",
            "QDRANT_PORT_6334_TCP",
        ];
        assert_eq!(warnings(names.into_iter().chain(more).map(str::to_owned)), Vec::<String>::new());
        let many = (0..100).map(|n| format!("GLIMPSE_SOMETHING_ELSE_{n}"));
        assert_eq!(warnings(many).len(), MAX_WARNINGS);
    }
}
