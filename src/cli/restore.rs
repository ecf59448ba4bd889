//! `glimpse restore`: restores a backup into an empty data folder.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;

use super::out::{self, Output};
use super::{CliError, Ending};
use crate::app::{LEDGER_VERSION, LOCK_FILE, claim_data_folder, open_archive, stored_keys};
use crate::archive::{ArchiveError, ArchiveStore, Checked, Manifest, check_chunks, restore};
use crate::config::Settings;
use crate::domain::Timestamp;

const EXAMPLES: &str = "\
Examples:
  GLIMPSE_DATA_DIR=/data glimpse restore /backups/glimpse
  glimpse restore /backups/glimpse --at 2026-01-31T12:00:00Z    the newest backup of that time or earlier
  glimpse restore --check /backups/glimpse                      read and check it, and write nothing
  S3_ENDPOINT=aws glimpse restore s3://backups/glimpse

The service must be stopped, and GLIMPSE_DATA_DIR empty. Start the service afterwards; docs/backup.md describes each step.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Restore {
    /// The folder of the archive, or s3://bucket/prefix in the bucket of S3_ENDPOINT
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    archive: String,
    /// Take the newest backup of this time or earlier, as RFC 3339 [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = |text: &str| Timestamp::parse(text))]
    at: Option<Timestamp>,
    /// Only check that each chunk of the backup is there and undamaged
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    output: Output,
}

/// The result, for scripts.
#[derive(Debug, Serialize)]
struct Report {
    created_at: Timestamp,
    version: String,
    files: u64,
    bytes: u64,
    left_out: Vec<String>,
    /// Only with `--check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<u64>,
    /// Only with `--check`, and without `--at`: the manifests of other backups that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged_manifests: Vec<String>,
    /// The API keys that are valid again. Only without `--check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<u64>,
}

impl Restore {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let archive = open_archive(settings, &self.archive, true).await?;
        let manifest = Manifest::find(archive.as_ref(), self.at).await?;
        let report = |files, bytes, damaged| Report {
            created_at: manifest.created_at,
            version: manifest.version.clone(),
            files,
            bytes,
            left_out: manifest.left_out.clone(),
            damaged,
            damaged_manifests: Vec::new(),
            keys: None,
        };
        if self.check {
            let checked = check_chunks(archive.as_ref(), &manifest).await?;
            let mut report = report(checked.files, checked.bytes, Some(checked.damaged));
            if self.at.is_none() {
                report.damaged_manifests = damaged_manifests(archive.as_ref()).await?;
            }
            self.output.value(&report, |report| describe_check(report, &checked))?;
            let is_whole = checked.damaged == 0 && report.damaged_manifests.is_empty();
            return Ok(if is_whole { Ending::Done } else { Ending::Failed });
        }
        let data = &settings.locations.glimpse_data_dir;
        let _lock = claim_data_folder(data)?;
        let restored = restore(archive.as_ref(), &manifest, data, LOCK_FILE, LEDGER_VERSION as u64).await?;
        let mut report = report(restored.files, restored.bytes, None);
        match stored_keys(data) {
            Ok(keys) => report.keys = Some(keys),
            Err(error) => out::warnings(&[format!("the API keys of the backup could not be counted: {error}")]),
        }
        self.output.value(&report, |report| describe(report, &data.display().to_string()))?;
        Ok(Ending::Done)
    }
}

/// Returns the manifests of the archive that cannot be read.
async fn damaged_manifests(archive: &dyn ArchiveStore) -> Result<Vec<String>, CliError> {
    let mut damaged = Vec::new();
    for name in Manifest::names(archive).await? {
        match Manifest::read(archive, &name).await {
            Err(ArchiveError::Manifest { problem, .. }) => {
                damaged.push(format!("the manifest {name} is damaged: {problem}"));
            }
            Err(ArchiveError::Newer { .. }) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(damaged)
}

fn describe(report: &Report, data: &str) -> String {
    let Report { created_at, files, bytes, .. } = report;
    let mut lines = vec![format!("restored the backup of {created_at} into {data}: {files} files, {bytes} bytes")];
    lines.extend(report.left_out.iter().map(|left_out| format!("not in the backup: {left_out}")));
    if let Some(keys) = report.keys.filter(|keys| *keys > 0) {
        lines.push(format!(
            "API keys of the backup, which are valid now: {keys}. Keys that were revoked after the backup are valid again: \
             compare `glimpse keys list` after the start, and remove such keys"
        ));
    }
    lines.push(
        "start the service with `glimpse serve`; `glimpse verify` compares its stores with the ledger".to_owned(),
    );
    if report.left_out.iter().any(|left_out| left_out.starts_with("the records in")) {
        lines.push(
            "records of other stores are not restored: if they are lost, `glimpse verify --repair` copies them from the \
             embedded store, or `glimpse ingest` indexes the bucket again"
                .to_owned(),
        );
    }
    lines.join("\n")
}

fn describe_check(report: &Report, checked: &Checked) -> String {
    let Report { created_at, files, bytes, .. } = report;
    let mut lines = vec![format!(
        "the backup of {created_at}: {files} files, {bytes} bytes read, {} damaged or missing chunks",
        checked.damaged
    )];
    lines.extend(checked.named.iter().map(ToString::to_string));
    lines.extend(report.damaged_manifests.iter().cloned());
    if checked.damaged > 0 {
        lines.push(
            "if the service still has the data, `glimpse backup --verify` repairs the archive; otherwise choose another \
             backup with --at"
                .to_owned(),
        );
    }
    lines.join("\n")
}
