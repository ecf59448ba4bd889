//! The modules that each module may import: the table of docs/architecture.md, compared with the sources.

mod imports;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::imports::{code, imports};

/// Names of the three ports that their users may import: traits, their types and errors. No adapter.
const PORTS: [&str; 22] = [
    "source::ImageSource",
    "source::Scope",
    "source::ListedPage",
    "source::NextPage",
    "source::Fetched",
    "source::Opened",
    "source::Part",
    "source::NewObject",
    "source::SourceError",
    "source::EncodingError",
    "embed::ImageEmbeddingProvider",
    "embed::EmbeddingModel",
    "embed::EmbeddingModels",
    "embed::EmbedError",
    "embed::Busy",
    "embed::EngineInfo",
    "index::ImageIndex",
    "index::IndexError",
    "index::EnsureOutcome",
    "index::NearPairs",
    "index::Stores",
    "index::several_stores",
];

/// Metrics and traces are like logs: a module may count and have spans, and these import no module of the service.
const METRICS: [&str; 2] = ["telemetry::metrics", "telemetry::traces"];

/// These modules count nothing and have no spans.
const WITHOUT_METRICS: [&str; 7] = ["domain", "imaging", "sqlite", "ledger", "shutdown", "config", "cli"];

/// Every module may take locks, and make folders that only their owner can read, in the same way.
const SHARED: [&str; 2] = ["lock", "owner_only"];

/// The modules that `api` may import.
const API: [&str; 18] = [
    "domain",
    "ledger",
    "jobs",
    "keys",
    "jwt",
    "mirrors",
    "uploads",
    "collections",
    "collection_models",
    "browse",
    "search",
    "images",
    "backup",
    "pinned",
    "health",
    "disk",
    "web",
    "server::BodyProgress",
];

/// The modules that a module may import. `jobs` means the module and everything in it; `api::replies` only that part.
fn allowed(module: &str) -> Vec<&'static str> {
    let ports = |more: &[&'static str]| [&PORTS[..], more].concat();
    match module {
        "disk" => vec!["domain", "resilience"],
        "resilience" => vec!["domain::DependencyError", "domain::FailureKind"],
        "domain" | "lock" | "owner_only" | "sqlite" | "server" | "shutdown" | "telemetry" | "web" => vec![],
        "pinned" => vec!["sqlite"],
        "archive" | "exchange" | "http" | "imaging" => vec!["domain"],
        "models" | "demo" | "decode_helper" => vec!["domain", "imaging"],
        "source" => vec!["domain", "http", "resilience", "imaging", "sqlite", "pinned", "server"],
        "index" => vec!["domain", "http", "resilience", "imaging", "sqlite", "pinned"],
        "embed" => vec!["domain", "http", "resilience", "imaging", "models"],
        "pipeline" => ports(&["domain", "imaging", "resilience"]),
        "backup" | "ledger" => vec!["domain", "sqlite", "pinned"],
        "collection_models" => ports(&["domain", "ledger"]),
        "keys" => vec!["domain", "ledger"],
        "jwt" | "otlp" => vec!["domain", "http"],
        "webhooks" => vec!["domain", "http", "ledger"],
        "jobs" => ports(&["domain", "imaging", "resilience", "pipeline", "ledger", "collection_models", "disk"]),
        "collections" => ports(&["domain", "imaging", "resilience", "pipeline", "ledger", "jobs", "collection_models"]),
        "mirrors" => ports(&["domain", "resilience", "pipeline", "ledger", "jobs", "collection_models"]),
        "uploads" => ports(&["domain", "imaging", "resilience", "pipeline", "jobs", "mirrors"]),
        "aws" => vec!["domain", "http", "mirrors"],
        "ray" => vec!["domain", "http", "jobs::placing::cluster"],
        "worker" => ports(&["domain", "http", "imaging", "resilience", "pipeline", "ledger", "jobs", "index::remote"]),
        "calibration" => ports(&["domain", "imaging", "demo"]),
        "search" => ports(&["domain", "imaging", "resilience", "pipeline", "calibration", "collection_models"]),
        "browse" => ports(&["domain"]),
        "images" => ports(&["domain", "imaging", "resilience", "pipeline"]),
        "health" => ports(&["domain", "jobs", "jwt", "collection_models"]),
        "api" => API.to_vec(),
        "clip_server" => vec![
            "domain",
            "imaging",
            "resilience",
            "embed::ImageEmbeddingProvider",
            "embed::EmbedError",
            "server::BodyProgress",
        ],
        "cli" => "domain http app archive exchange config telemetry shutdown demo api::replies".split(' ').collect(),
        // `config` may import only settings, see below.
        "app" | "config" => vec![
            "domain",
            "imaging",
            "resilience",
            "sqlite",
            "source",
            "embed",
            "index",
            "pipeline",
            "ledger",
            "pinned",
            "backup",
            "archive",
            "disk",
            "jobs",
            "keys",
            "jwt",
            "mirrors",
            "uploads",
            "collections",
            "collection_models",
            "browse",
            "calibration",
            "search",
            "images",
            "health",
            "worker",
            "ray",
            "api",
            "aws",
            "clip_server",
            "config",
            "otlp",
            "telemetry",
            "server",
            "shutdown",
            "demo",
            "models",
            "webhooks",
        ],
        other => panic!("src/{other} has no row in the table of layers: give it one"),
    }
}

fn may(module: &str, import: &str) -> bool {
    let own = import.split("::").next() == Some(module);
    let metrics = (!WITHOUT_METRICS.contains(&module)).then_some(METRICS).into_iter().flatten();
    let listed = allowed(module)
        .into_iter()
        .chain(metrics)
        .chain(SHARED)
        .any(|allowed| import.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")));
    let settings = module != "config" || import.ends_with("Settings") || import.starts_with("domain::");
    own || (listed && settings)
}

#[test]
fn modules_import_only_allowed_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut modules = BTreeSet::new();
    for file in sources(&root) {
        let path: Vec<String> = file
            .strip_prefix(&root)
            .unwrap()
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into())
            .collect();
        if path == ["lib"] || path == ["main"] {
            continue;
        }
        let place = if path.last().unwrap() == "mod" { &path[..path.len() - 1] } else { &path[..] };
        modules.insert(place[0].clone());
        for import in imports(&code(&std::fs::read_to_string(&file).unwrap()), place) {
            if !may(&place[0], &import) {
                wrong.push(format!("src/{} imports crate::{import}", path.join("/")));
            }
        }
    }
    assert!(modules.len() > 10, "no sources were found: {modules:?}");
    assert!(wrong.is_empty(), "not allowed by the table in this file:\n{}", wrong.join("\n"));
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn the_parser_finds_every_form_of_an_import() {
    let text = "
use crate::domain::{self, Job as J, image::{Format, *}}; // crate::comment
use crate::{search, api::replies};
pub(in crate::jobs) fn f() { $crate::no(); other_crate::no(); let _ = crate::index::Stores::new::<u8>(); }
use super::super::source::S3;
use super::pools;
#[cfg(test)]
mod tests { use crate::app::App; }
";
    let place = ["jobs".to_owned(), "run".to_owned()];
    let found = imports(&code(text), &place);
    let expected = [
        "domain",
        "domain::Job",
        "domain::image::Format",
        "domain::image",
        "search",
        "api::replies",
        "index::Stores::new",
        "source::S3",
    ];
    assert_eq!(found, expected);
    assert!(!may("jobs", "source::S3") && may("jobs", "index::Stores::new") && may("jobs", "jobs::run"));
    assert!(may("cli", "api::replies::JobReply") && !may("cli", "api::ApiSettings") && !may("cli", "jobs"));
    assert!(may("resilience", "telemetry::metrics::families") && !may("resilience", "telemetry::TelemetrySettings"));
    assert!(!may("domain", "telemetry::metrics::families") && !may("telemetry", "jobs::Jobs"));
    assert!(may("config", "api::ApiSettings") && !may("config", "api::router"));
}
