//! `glimpse restore`: restores a backup into an empty data folder.

use clap::Args;
use serde::Serialize;

use super::out::Output;
use super::{CliError, Ending};
use crate::app::{LEDGER_VERSION, LOCK_FILE, claim_data_folder, open_archive};
use crate::archive::{Checked, Manifest, check_chunks, restore};
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
}

impl Restore {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let archive = open_archive(settings, &self.archive, false).await?;
        let manifest = Manifest::find(archive.as_ref(), self.at).await?;
        let report = |files, bytes, damaged| Report {
            created_at: manifest.created_at,
            version: manifest.version.clone(),
            files,
            bytes,
            left_out: manifest.left_out.clone(),
            damaged,
        };
        if self.check {
            let checked = check_chunks(archive.as_ref(), &manifest).await?;
            let report = report(checked.files, checked.bytes, Some(checked.damaged));
            self.output.value(&report, |report| describe_check(report, &checked))?;
            return Ok(if checked.damaged == 0 { Ending::Done } else { Ending::Failed });
        }
        let data = &settings.locations.glimpse_data_dir;
        let _lock = claim_data_folder(data)?;
        let restored = restore(archive.as_ref(), &manifest, data, LOCK_FILE, LEDGER_VERSION as u64).await?;
        let report = report(restored.files, restored.bytes, None);
        self.output.value(&report, |report| describe(report, &data.display().to_string()))?;
        Ok(Ending::Done)
    }
}

fn describe(report: &Report, data: &str) -> String {
    let Report { created_at, files, bytes, .. } = report;
    let mut lines = vec![format!("restored the backup of {created_at} into {data}: {files} files, {bytes} bytes")];
    lines.extend(report.left_out.iter().map(|left_out| format!("not in the backup: {left_out}")));
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
    lines.extend(checked.named.iter().map(|damage| format!("{damage}; choose another backup with --at")));
    lines.join("\n")
}
