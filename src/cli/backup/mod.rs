//! `glimpse backup`: copies the data of a running service into an archive, and lists the backups of an archive.

mod transfer;

use std::time::Instant;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::client::Client;
use super::out::{self, Output};
use super::{CliError, Ending, client_help, own_examples};
use crate::api::replies::{BackupReply, BackupRequest, EndedBackupReply};
use crate::app::open_archive;
use crate::archive::{ArchiveStore, FORMAT, Manifest, Pruned, prune};
use crate::config::Settings;
use crate::domain::Timestamp;

use transfer::{Transfer, Transferred};

const EXAMPLES: &str = "\
Examples:
  glimpse backup /backups/glimpse                copy the ledger, the embedded index and the embedded bucket
  glimpse backup /backups/glimpse --keep 14      and remove all but the 14 newest backups
  glimpse backup /backups/glimpse --without-objects
  S3_ENDPOINT=aws glimpse backup s3://backups/glimpse
  glimpse backup list /backups/glimpse

A backup contains secrets, such as the credentials of the embedded bucket. `glimpse restore` restores it; docs/backup.md
describes both.";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES), args_conflicts_with_subcommands = true, subcommand_negates_reqs = true,
    mut_subcommands = |command| { let own = own_examples("backup", EXAMPLES, &command); command.after_help(own) })]
pub(super) struct Backup {
    /// A folder, or s3://bucket/prefix in the bucket of S3_ENDPOINT
    #[arg(required = true)]
    archive: Option<String>,
    /// Leave out the objects of the embedded bucket
    #[arg(long)]
    without_objects: bool,
    /// Afterwards, remove all but the N newest backups of the archive: 1 to 100,000
    #[arg(long, value_name = "N", value_parser = super::values::whole_number::<usize, 1, 100_000>,
        allow_negative_numbers = true)]
    keep: Option<usize>,
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the backups of an archive
    List {
        /// A folder, or s3://bucket/prefix in the bucket of S3_ENDPOINT
        archive: String,
        #[command(flatten)]
        output: Output,
    },
}

/// The result of a backup.
#[derive(Debug, Serialize)]
struct Done {
    created_at: Timestamp,
    files: u64,
    bytes: u64,
    new_bytes: u64,
    seconds: f64,
    left_out: Vec<String>,
    removed_backups: u64,
    removed_chunks: u64,
}

/// A backup in the list.
#[derive(Debug, Serialize)]
struct Listed {
    created_at: Timestamp,
    version: String,
    files: u64,
    bytes: u64,
    objects: bool,
    left_out: Vec<String>,
}

impl Backup {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        match (self.command, self.archive) {
            (Some(Command::List { archive, output }), _) => list(settings, &archive, output).await,
            (None, Some(archive)) => {
                let archive = open_archive(settings, &archive, true).await?;
                let request = BackupRequest { objects: Some(!self.without_objects) };
                back_up(settings, archive.as_ref(), &request, self.keep, self.output).await
            }
            // The command line requires one of them.
            (None, None) => Ok(Ending::Failed),
        }
    }
}

async fn back_up(
    settings: &Settings,
    archive: &dyn ArchiveStore,
    request: &BackupRequest,
    keep: Option<usize>,
    output: Output,
) -> Result<Ending, CliError> {
    let started = Instant::now();
    // The service copies its databases before it replies.
    let client = Client::without_timeout(settings)?;
    let backup: BackupReply = client.post(&["backups"], request).await?.read()?;
    let transferred = transfer(&client, archive, &backup).await;
    let ended = client.delete(&["backups", &backup.id], &()).await.and_then(|reply| reply.read::<EndedBackupReply>());
    let (manifest, transferred) = transferred?;
    if let Err(error) = ended {
        out::warnings(&[format!("the service did not end the backup, and does so later: {}", error.chain())]);
    }
    let pruned = match keep {
        Some(keep) => prune(archive, keep).await?,
        None => Pruned::default(),
    };
    let done = Done {
        created_at: manifest.created_at,
        files: manifest.files.len() as u64,
        bytes: manifest.bytes(),
        new_bytes: transferred.new_bytes,
        seconds: started.elapsed().as_secs_f64(),
        left_out: manifest.left_out,
        removed_backups: pruned.backups,
        removed_chunks: pruned.chunks,
    };
    output.value(&done, |done| describe(done, &archive.location()))?;
    Ok(Ending::Done)
}

/// Copies all files, and then writes the manifest.
async fn transfer(
    client: &Client,
    archive: &dyn ArchiveStore,
    backup: &BackupReply,
) -> Result<(Manifest, Transferred), CliError> {
    let created_at = Timestamp::parse(&backup.created_at)
        .map_err(|error| CliError::BackupChunk { path: "created_at".to_owned(), problem: error.to_string() })?;
    let transfer = Transfer::new(client, archive, &backup.id).await?;
    let files = transfer.files().await?;
    let manifest = Manifest {
        format: FORMAT,
        version: backup.version.clone(),
        ledger_version: backup.ledger_version,
        created_at,
        objects: backup.objects,
        left_out: backup.left_out.clone(),
        files,
    };
    manifest.write(archive).await?;
    Ok((manifest, transfer.transferred()))
}

fn describe(done: &Done, location: &str) -> String {
    let Done { created_at, files, bytes, new_bytes, seconds, .. } = done;
    let mut lines = vec![format!(
        "backup of {created_at} in {location}: {files} files, {bytes} bytes, of which {new_bytes} are new, in {seconds:.1} s"
    )];
    lines.extend(done.left_out.iter().map(|left_out| format!("not in the backup: {left_out}")));
    if done.removed_backups > 0 {
        lines.push(format!("removed {} backups and {} chunks", done.removed_backups, done.removed_chunks));
    }
    lines.join("\n")
}

async fn list(settings: &Settings, archive: &str, output: Output) -> Result<Ending, CliError> {
    let archive = open_archive(settings, archive, false).await?;
    let mut backups = Vec::new();
    for name in Manifest::names(archive.as_ref()).await? {
        let manifest = Manifest::read(archive.as_ref(), &name).await?;
        backups.push(Listed {
            created_at: manifest.created_at,
            bytes: manifest.bytes(),
            files: manifest.files.len() as u64,
            version: manifest.version,
            objects: manifest.objects,
            left_out: manifest.left_out,
        });
    }
    output.value(&backups, |backups| table(backups, &archive.location()))?;
    Ok(Ending::Done)
}

fn table(backups: &[Listed], location: &str) -> String {
    if backups.is_empty() {
        return format!("no backups in {location}");
    }
    let mut table = out::table(&["time", "version", "files", "bytes", "not in the backup"]);
    for backup in backups {
        table.add_row([
            backup.created_at.to_string().into(),
            backup.version.clone().into(),
            out::number(backup.files),
            out::number(backup.bytes),
            comfy_table::Cell::new(backup.left_out.join(", ")),
        ]);
    }
    table.to_string()
}
