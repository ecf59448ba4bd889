//! Checks everything that the settings name, one check after the other. The results are for operators: they contain the
//! messages of dependencies. The checks change nothing and create no data folder.

mod cluster;
mod disk;
mod keys;
mod queue;
mod stores;
mod tls;
mod tokens;
mod traces;
mod webhooks;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Bucket, BuildError, parts, providers};
use crate::config::Settings;
use crate::domain::{FailureKind, Space};
use crate::embed::{EmbedError, ImageEmbeddingProvider, ProviderKind};
use crate::models::restricted_licence;
use crate::source::{S3Endpoint, SourceError};

/// Maximum time of one check.
const CHECK_TIMEOUT: Duration = Duration::from_mins(1);

/// The result of one check.
#[derive(Clone, Debug)]
pub struct CheckResult {
    /// What was checked.
    pub what: &'static str,
    /// How long it took.
    pub took: Duration,
    /// A description of what was found, or the problem.
    pub outcome: Result<String, Problem>,
    /// What will be a problem later.
    pub warning: Option<String>,
}

/// A problem and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

impl Problem {
    fn new(problem: &impl ToString, advice: impl Into<String>) -> Self {
        Self { problem: problem.to_string(), advice: advice.into() }
    }
}

/// Runs one check and measures its time.
pub async fn finding(what: &'static str, check: impl Future<Output = Result<String, Problem>>) -> CheckResult {
    let started = Instant::now();
    let outcome = tokio::time::timeout(CHECK_TIMEOUT, check).await.unwrap_or_else(|_| {
        Err(Problem::new(
            &format!("no answer within {} s", CHECK_TIMEOUT.as_secs()),
            "check the address and the load of what it waits for",
        ))
    });
    CheckResult { what, took: started.elapsed(), outcome, warning: None }
}

/// The state of the data folder.
enum Folder {
    Missing,
    /// Locked by this process during the checks.
    Own(#[expect(dead_code, reason = "the lock is held, not read")] File),
    Running,
}

/// The checks. They depend on each other, so they must be called in the order in which they are defined.
pub struct Doctor {
    settings: Settings,
    folder: Folder,
    space: Option<Arc<Space>>,
}

impl std::fmt::Debug for Doctor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doctor").field("space", &self.space.as_ref().map(|space| space.name())).finish_non_exhaustive()
    }
}

impl Doctor {
    /// Creates the checks. Nothing is checked yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, folder: Folder::Missing, space: None }
    }

    /// Checks the data folder: it is writable, or in use by a running service.
    pub async fn folder(&mut self) -> CheckResult {
        let folder = self.settings.locations.glimpse_data_dir.clone();
        let path = folder.display().to_string();
        let checked = if folder.exists() {
            match parts::lock_for_service(&folder) {
                Ok(lock) => Ok((Folder::Own(lock), format!("{path}, not in use"))),
                Err(BuildError::FolderInUse(_)) => {
                    Ok((Folder::Running, format!("{path}, in use by a running service")))
                }
                Err(error) => Err(Problem::new(&error, "make the folder writable for this user")),
            }
        } else {
            match parts::check_creation(&folder) {
                Ok(()) => Ok((Folder::Missing, format!("{path} will be created at the first start"))),
                Err(error) => Err(Problem::new(&error, "create the folder, writable for this user")),
            }
        };
        let outcome = checked.map(|(state, description)| {
            self.folder = state;
            description
        });
        finding("folder", async { outcome }).await
    }

    /// Checks the bucket: it answers, and it can be listed.
    pub async fn bucket(&self) -> CheckResult {
        finding("bucket", Box::pin(self.check_bucket())).await
    }

    async fn check_bucket(&self) -> Result<String, Problem> {
        let settings = &self.settings.source;
        if settings.s3_endpoint == S3Endpoint::Embedded && !matches!(self.folder, Folder::Running) {
            return Ok("embedded in the service; available while the service runs (S3_ENDPOINT)".to_owned());
        }
        let complaint = |error: &BuildError| match error {
            BuildError::Source(SourceError::Operator(error)) => Problem::new(&error.problem, error.advice.clone()),
            BuildError::Source(SourceError::NoBucket(bucket)) => Problem::new(
                &format!("the bucket `{bucket}` does not exist"),
                "create the bucket, or set S3_BUCKET to one that exists",
            ),
            BuildError::Source(SourceError::Denied(_)) if settings.s3_anonymous => Problem::new(
                error,
                "the bucket is not public: unset S3_ANONYMOUS and set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY",
            ),
            BuildError::Source(SourceError::Denied(_) | SourceError::Refused { .. }) => {
                Problem::new(error, "check S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY and the permissions of this key")
            }
            BuildError::Source(_) => Problem::new(error, "check S3_ENDPOINT, S3_REGION and whether the server runs"),
            _ => Problem::new(error, "check the S3_ settings"),
        };
        let listed = async { Bucket::open(&self.settings).await?.first_key(&settings.s3_bucket).await }.await;
        let first = listed.map_err(|error| complaint(&error))?;
        let first = first.map_or_else(|| "it is empty".to_owned(), |key| format!("its first key is {key}"));
        Ok(format!("{} at {}: {first}", settings.s3_bucket, settings.s3_endpoint))
    }

    /// Checks the embedding provider: both encoders (image and text) answer and pass their probe.
    pub async fn provider(&mut self) -> CheckResult {
        let settings = &self.settings;
        let name = settings.embed.image_embedding_provider.name();
        let kind = settings.embed.image_embedding_provider;
        let probe = async {
            let raw = providers::raw(settings).await.map_err(|error| match error {
                BuildError::Engine(error) => Problem::new(&error.problem, error.advice),
                BuildError::Provider(ref reason) => Problem::new(&error, provider_advice(reason, kind)),
                error => Problem::new(&error, "check CLIP_MODEL and the IMAGE_ settings"),
            })?;
            let space = wait_for_space(&*raw).await;
            let space = space.map_err(|error| Problem::new(&error, provider_advice(&error, kind)))?;
            let engine = if kind == ProviderKind::Local { providers::check_engine(settings).await.ok() } else { None };
            Ok((space, engine))
        };
        let mut space = None;
        let check = async {
            let (verified, engine) = probe.await?;
            let inputs = if verified.probes.iter().any(|probe| probe.name.starts_with("text:")) {
                "images and text"
            } else {
                "images only"
            };
            let by = engine.map(|engine| format!(", by {engine}")).unwrap_or_default();
            let licence = licence_note(&settings.embed.clip_model);
            let description = format!("{name} makes vectors of {} from {inputs}{by}{licence}", verified.name());
            space = Some(verified);
            Ok(description)
        };
        let finding = finding("provider", check).await;
        self.space = space;
        finding
    }
}

/// Returns the verified space. Waits for a model that is still being loaded or downloaded, for half of
/// [`CHECK_TIMEOUT`].
async fn wait_for_space(provider: &dyn ImageEmbeddingProvider) -> Result<Arc<Space>, EmbedError> {
    let started = Instant::now();
    loop {
        match provider.space().await {
            Err(error) if is_loading(&error) && started.elapsed() < CHECK_TIMEOUT / 2 => {}
            outcome => return outcome,
        }
    }
}

/// Whether the model is still being loaded. This is the error of an adapter without retries after it has waited for a
/// while.
fn is_loading(error: &EmbedError) -> bool {
    matches!(error, EmbedError::Dependency(down) if matches!(down.failure, FailureKind::Unavailable { .. }))
}

/// Returns the licence of the model if it forbids commercial use.
fn licence_note(model: &str) -> String {
    restricted_licence(model).map_or_else(String::new, |licence| format!("; commercial use is not allowed: {licence}"))
}

fn provider_advice(error: &EmbedError, kind: ProviderKind) -> String {
    let (address, models) = match kind {
        ProviderKind::Ollama => ("OLLAMA_BASE_URL", "OLLAMA_VISION_MODEL, OLLAMA_MODEL"),
        ProviderKind::Local | ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec => {
            ("CLIP_URL", "CLIP_MODEL")
        }
    };
    match error {
        error if is_loading(error) => {
            "start the service, which continues the download, and wait until /readyz answers 200".to_owned()
        }
        EmbedError::Dependency(_) if kind == ProviderKind::Local => {
            "check CLIP_MODEL, CLIP_PRECISION, CLIP_ENGINE and CLIP_DEVICE; for a model of the hub also HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and \
             HF_TOKEN"
                .to_owned()
        }
        EmbedError::Dependency(down) if down.failure == FailureKind::Refused => format!("check {}", down.settings()),
        EmbedError::Dependency(_) => format!("start the server, or set {address} to its address"),
        EmbedError::ProbeFailed(_)
        | EmbedError::Invalid(_)
        | EmbedError::WrongCount { .. }
        | EmbedError::Rejected(_)
        | EmbedError::Failing { .. }
        | EmbedError::Unsupported => {
            format!("its vectors cannot be used: choose another server or model (IMAGE_EMBEDDING_PROVIDER, {models})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DependencyError;

    #[test]
    fn the_advice_names_the_settings_of_the_provider() {
        let advice = |kind: ProviderKind, failure| {
            let (dependency, detail) = (kind.name().to_owned(), String::new());
            provider_advice(&DependencyError { dependency, failure, detail }.into(), kind)
        };
        assert!(advice(ProviderKind::Ollama, FailureKind::Failed).contains("set OLLAMA_BASE_URL"));
        assert!(advice(ProviderKind::Ollama, FailureKind::Refused).contains("OLLAMA_VISION_MODEL"));
        assert!(advice(ProviderKind::Clip, FailureKind::Failed).contains("set CLIP_URL"));
        assert!(advice(ProviderKind::Clip, FailureKind::Refused).contains("CLIP_API_KEY"));
    }

    #[test]
    fn a_licence_that_forbids_commercial_use_is_named() {
        assert!(licence_note("mobileclip2-s2").contains("research only"));
        assert!(licence_note("jinaai/jina-clip-v2@main").contains("CC-BY-NC-4.0"));
        assert_eq!(licence_note("siglip2-base-256") + &licence_note("./my-clip"), "");
    }

    #[tokio::test]
    async fn a_data_folder_that_cannot_be_created_is_a_problem() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (folder, can_be_created) in
            [(parent.path().join("a/b"), true), (file.join("a"), false), ("/proc/x".into(), false)]
        {
            let mut settings = Settings::default();
            settings.locations.glimpse_data_dir = folder.clone();
            let outcome = Doctor::new(settings).folder().await.outcome;
            assert_eq!(outcome.is_ok(), can_be_created, "{outcome:?}");
            assert!(!folder.exists() && !parent.path().join("a").exists(), "the check leaves nothing");
        }
    }
}
