//! `glimpse backup`: copies the data of a running service into an archive, and lists the backups of an archive.

mod list;
mod transfer;

use std::time::{Duration, Instant};

use clap::builder::NonEmptyStringValueParser;
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
use crate::shutdown::Shutdown;

use list::list;
use transfer::{Transfer, Transferred, check_other_bucket};

/// How long an interrupted command tries to end its backup at the service.
const END_TIMEOUT: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  glimpse backup /backups/glimpse                copy the ledger, the embedded index and the embedded bucket
  glimpse backup /backups/glimpse --keep 14      and remove all but the 14 newest backups
  glimpse backup /backups/glimpse --without-objects
  glimpse backup /backups/glimpse --verify       also read the chunks of earlier backups, and send damaged ones again
  S3_ENDPOINT=aws glimpse backup s3://backups/glimpse
  glimpse backup list /backups/glimpse

A backup contains secrets, such as the credentials of the embedded bucket. `glimpse restore` restores it; docs/backup.md
describes both.";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES), args_conflicts_with_subcommands = true, subcommand_negates_reqs = true,
    mut_subcommands = |command| { let own = own_examples("backup", EXAMPLES, &command); command.after_help(own) })]
pub(super) struct Backup {
    /// A folder, or s3://bucket/prefix in the bucket of S3_ENDPOINT: an archive, or empty or new
    #[arg(required = true, value_parser = NonEmptyStringValueParser::new())]
    archive: Option<String>,
    /// Leave out the objects of the embedded bucket
    #[arg(long)]
    without_objects: bool,
    /// Read the chunks of the archive before they are used again, and replace damaged ones; this repairs earlier backups
    #[arg(long)]
    verify: bool,
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
        #[arg(value_parser = NonEmptyStringValueParser::new())]
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
    repaired_chunks: u64,
    seconds: f64,
    left_out: Vec<String>,
    removed_backups: u64,
    removed_chunks: u64,
}

impl Backup {
    pub(super) async fn run(mut self, settings: &Settings) -> Result<Ending, CliError> {
        match (self.command.take(), self.archive.take()) {
            (Some(Command::List { archive, output }), _) => list(settings, &archive, output).await,
            (None, Some(archive)) => self.back_up(settings, &archive).await,
            // The command line requires one of them.
            (None, None) => Ok(Ending::Failed),
        }
    }

    async fn back_up(&self, settings: &Settings, location: &str) -> Result<Ending, CliError> {
        let started = Instant::now();
        let mut archive = open_archive(settings, location, false).await?;
        // Before the service stops writes. The archive is created after the service has accepted the backup.
        archive.check().await?;
        let stop = Shutdown::on_signals().map_err(CliError::Signals)?.drain();
        // The service copies its databases before it replies.
        let client = Client::without_timeout(settings)?;
        let request = BackupRequest { objects: Some(!self.without_objects) };
        let backup: BackupReply = begin(&client, &request, stop.cancelled()).await?;
        let copy = async {
            check_other_bucket(&client, &backup.id, &archive.location(), &settings.source.s3_access_key_id).await?;
            archive.claim().await?;
            transfer(&client, archive.as_ref(), &backup, self.verify).await
        };
        let transferred = tokio::select! {
            biased;
            transferred = copy => transferred,
            () = stop.cancelled() => Err(CliError::BackupInterrupted),
        };
        end(&client, &backup.id, stop.cancelled()).await;
        let (manifest, transferred) = transferred?;
        let pruned = match self.keep {
            Some(keep) => tokio::select! {
                biased;
                pruned = prune(archive.as_ref(), keep, &manifest) => pruned.map_err(CliError::Prune),
                () = stop.cancelled() => Err(CliError::PruneInterrupted),
            },
            None => Ok(Pruned::default()),
        };
        let counts = pruned.as_ref().ok();
        let done = Done {
            created_at: manifest.created_at,
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
            new_bytes: transferred.new_bytes,
            repaired_chunks: transferred.repaired_chunks,
            seconds: started.elapsed().as_secs_f64(),
            left_out: manifest.left_out,
            removed_backups: counts.map_or(0, |pruned| pruned.backups),
            removed_chunks: counts.map_or(0, |pruned| pruned.chunks),
        };
        self.output.value(&done, |done| describe(done, &archive.location()))?;
        warn(&pruned?);
        Ok(Ending::Done)
    }
}

/// Begins a backup at the service. If the command is interrupted meanwhile, a backup that has just begun is ended.
async fn begin(
    client: &Client,
    request: &BackupRequest,
    stopped: impl Future<Output = ()>,
) -> Result<BackupReply, CliError> {
    let begun = async { client.post(&["backups"], request).await?.read() };
    tokio::pin!(begun);
    tokio::select! {
        biased;
        begun = &mut begun => return begun,
        () = stopped => {}
    }
    // The service drops the backup of a client that goes away before the reply.
    if let Ok(Ok(backup)) = tokio::time::timeout(Duration::from_millis(500), begun).await {
        let backup: BackupReply = backup;
        end(client, &backup.id, std::future::ready(())).await;
    }
    Err(CliError::BackupInterrupted)
}

/// Ends a backup at the service. After an interrupt, it does not wait for a service that hangs.
async fn end(client: &Client, id: &str, stopped: impl Future<Output = ()>) {
    let limit = async {
        stopped.await;
        tokio::time::sleep(END_TIMEOUT).await;
    };
    let ended = async { client.delete(&["backups", id], &()).await?.read::<EndedBackupReply>() };
    let problem = tokio::select! {
        ended = ended => match ended {
            Ok(_) => return,
            Err(error) => error.chain(),
        },
        () = limit => "it does not answer".to_owned(),
    };
    out::warnings(&[format!("the service did not end the backup, and does so later: {problem}")]);
}

/// Prints why backups or chunks were kept. The new backup is complete.
fn warn(pruned: &Pruned) {
    let mut warnings: Vec<String> = pruned
        .unreadable
        .iter()
        .map(|problem| {
            format!("{problem}; every chunk was kept, because it may need them. Remove this file if you do not need it")
        })
        .collect();
    warnings.extend(pruned.future.iter().map(|name| {
        format!("the manifest {name} is newer than this backup; it was kept, and is not counted by --keep")
    }));
    out::warnings(&warnings);
}

/// Copies all files, and then writes the manifest.
async fn transfer(
    client: &Client,
    archive: &dyn ArchiveStore,
    backup: &BackupReply,
    verify: bool,
) -> Result<(Manifest, Transferred), CliError> {
    let created_at = Timestamp::parse(&backup.created_at)
        .map_err(|error| CliError::BackupChunk { path: "created_at".to_owned(), problem: error.to_string() })?;
    let transfer = Transfer::new(client, archive, &backup.id, verify).await?;
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
    if done.repaired_chunks > 0 {
        let chunks = done.repaired_chunks;
        lines.push(format!("repaired the archive: {chunks} chunks of earlier backups were missing or damaged"));
    }
    if done.removed_backups > 0 {
        lines.push(format!("removed {} backups and {} chunks", done.removed_backups, done.removed_chunks));
    }
    lines.join("\n")
}
