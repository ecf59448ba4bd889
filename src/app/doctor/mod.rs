//! Whether what the settings name is there and does what it should, one check after the other. For an operator: what a
//! dependency said itself is told. Changes nothing, and makes no data folder.

mod cluster;
mod stores;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Bucket, BuildError, parts, providers};
use crate::config::Settings;
use crate::domain::{Space, Trouble};
use crate::embed::{EmbedError, ImageEmbeddingProvider, ProviderKind};
use crate::source::{Endpoint, SourceError};

/// How long one check may take.
const LIMIT: Duration = Duration::from_mins(1);

/// What one check found, and how long it took.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What is there, or what is wrong.
    pub outcome: Result<String, Complaint>,
}

/// What is wrong and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What was seen.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

impl Complaint {
    fn new(problem: &impl ToString, advice: impl Into<String>) -> Self {
        Self { problem: problem.to_string(), advice: advice.into() }
    }
}

/// Runs one check and takes its time.
pub async fn finding(what: &'static str, check: impl Future<Output = Result<String, Complaint>>) -> Finding {
    let begun = Instant::now();
    let outcome = tokio::time::timeout(LIMIT, check).await.unwrap_or_else(|_| {
        Err(Complaint::new(
            &format!("nothing came within {} s", LIMIT.as_secs()),
            "look at what it waits for: its address, its load",
        ))
    });
    Finding { what, took: begun.elapsed(), outcome }
}

/// Who has the data folder.
enum Folder {
    Missing,
    /// Locked by us while we look.
    JobStance(#[expect(dead_code, reason = "held, not read")] File),
    Running,
}

/// The checks. They build on each other, so that their order is the one they stand in.
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
    /// Has looked at nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, folder: Folder::Missing, space: None }
    }

    /// The data folder: there, ours to write, or in use by a running service.
    pub async fn folder(&mut self) -> Finding {
        let folder = self.settings.place.glimpse_data_dir.clone();
        let shown = folder.display().to_string();
        let looked = if folder.exists() {
            match parts::lock(&folder) {
                Ok(lock) => Ok((Folder::JobStance(lock), format!("{shown}, not in use"))),
                Err(BuildError::FolderInUse(_)) => {
                    Ok((Folder::Running, format!("{shown}, in use by a running service")))
                }
                Err(error) => Err(Complaint::new(&error, "make it writable for this user")),
            }
        } else {
            Ok((Folder::Missing, format!("{shown} is made at the first start")))
        };
        let outcome = looked.map(|(found, said)| {
            self.folder = found;
            said
        });
        finding("folder", async { outcome }).await
    }

    /// The bucket: it answers, and lets itself be listed.
    pub async fn bucket(&self) -> Finding {
        finding("bucket", Box::pin(self.look_into_the_bucket())).await
    }

    async fn look_into_the_bucket(&self) -> Result<String, Complaint> {
        let of = &self.settings.source;
        let endpoint = of.endpoint().map_err(|error| Complaint::new(&error, "set S3_ENDPOINT"))?;
        if endpoint == Endpoint::Embedded && !matches!(self.folder, Folder::Running) {
            return Ok("in the process of the service; it is there while the service runs (S3_ENDPOINT)".to_owned());
        }
        let complaint = |error: &BuildError| match error {
            BuildError::Source(SourceError::Operator(error)) => Complaint::new(&error.problem, error.advice.clone()),
            BuildError::Source(SourceError::NoBucket(bucket)) => Complaint::new(
                &format!("there is no bucket `{bucket}`"),
                "make the bucket, or set S3_BUCKET to one that is there",
            ),
            BuildError::Source(SourceError::Denied(_)) if of.s3_anonymous => Complaint::new(
                error,
                "not everyone may read the bucket: unset S3_ANONYMOUS and set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY",
            ),
            BuildError::Source(SourceError::Denied(_) | SourceError::Refused { .. }) => Complaint::new(
                error,
                "check S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY and what the bucket's policy lets them do",
            ),
            BuildError::Source(_) => {
                Complaint::new(error, "check S3_ENDPOINT, S3_REGION and whether the service behind it runs")
            }
            _ => Complaint::new(error, "check the S3_ settings"),
        };
        let listed = async { Bucket::open(&self.settings).await?.first_key(&of.s3_bucket).await }.await;
        let first = listed.map_err(|error| complaint(&error))?;
        let first = first.map_or_else(|| "it is empty".to_owned(), |key| format!("its first key is {key}"));
        Ok(format!("{} at {}: {first}", of.s3_bucket, of.s3_endpoint))
    }

    /// The embedding provider: both towers answer, and pass their probe.
    pub async fn provider(&mut self) -> Finding {
        let settings = &self.settings;
        let name = settings.embed.image_embedding_provider.clone();
        let probe = async {
            let raw = providers::raw(settings)
                .await
                .map_err(|error| Complaint::new(&error, "check CLIP_MODEL and the IMAGE_ settings"))?;
            let elsewhere = settings.embed.kind() != Ok(ProviderKind::Local);
            proven(&*raw).await.map_err(|error| Complaint::new(&error, provider_advice(&error, elsewhere)))
        };
        let mut space = None;
        let look = async {
            let proven = probe.await?;
            let towers = if proven.probes.iter().any(|probe| probe.name.starts_with("text:")) {
                "images and words"
            } else {
                "images only"
            };
            let said = format!("{name} makes vectors of {} from {towers}", proven.name());
            space = Some(proven);
            Ok(said)
        };
        let finding = finding("provider", look).await;
        self.space = space;
        finding
    }
}

/// The space. A model that is on its way, from the hub above all, is waited for as long as there is time.
async fn proven(provider: &dyn ImageEmbeddingProvider) -> Result<Arc<Space>, EmbedError> {
    let begun = Instant::now();
    loop {
        match provider.space().await {
            Err(error) if is_on_its_way(&error) && begun.elapsed() < LIMIT / 2 => {}
            outcome => return outcome,
        }
    }
}

/// Of an adapter with nothing around it: its answer when it has waited for a while.
fn is_on_its_way(error: &EmbedError) -> bool {
    matches!(error, EmbedError::Dependency(down) if matches!(down.trouble, Trouble::Unavailable { .. }))
}

fn provider_advice(error: &EmbedError, elsewhere: bool) -> &'static str {
    match error {
        error if is_on_its_way(error) => {
            "start the service, which goes on where this stopped, and wait for its /readyz"
        }
        EmbedError::Dependency(_) if !elsewhere => {
            "check CLIP_MODEL and CLIP_PRECISION; for a model of the hub HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and HF_TOKEN"
        }
        EmbedError::Dependency(down) if down.trouble == Trouble::Refused => {
            "check CLIP_URL and CLIP_MODEL, and the key if it wants one"
        }
        EmbedError::Dependency(_) => "start it, or set CLIP_URL to where it is",
        EmbedError::ProbeFailed(_)
        | EmbedError::Invalid(_)
        | EmbedError::WrongCount { .. }
        | EmbedError::Rejected(_)
        | EmbedError::Failing { .. }
        | EmbedError::Unsupported => {
            "its vectors are of no use: choose another server, or another model (IMAGE_EMBEDDING_PROVIDER, CLIP_MODEL)"
        }
    }
}
