//! `glimpse backup list`: the backups of an archive. One that cannot be read does not hide the others.

use serde::Serialize;

use crate::app::open_archive;
use crate::archive::{ArchiveError, ArchiveStore, Manifest};
use crate::cli::out::{self, Output};
use crate::cli::{CliError, Ending};
use crate::config::Settings;
use crate::domain::Timestamp;

/// A backup in the list.
#[derive(Debug, Serialize)]
struct Listed {
    /// The name of its manifest in the archive.
    manifest: String,
    #[serde(flatten)]
    content: Content,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content {
    Readable { created_at: Timestamp, version: String, files: u64, bytes: u64, objects: bool, left_out: Vec<String> },
    Unreadable { created_at: Option<Timestamp>, problem: String },
}

pub(super) async fn list(settings: &Settings, archive: &str, output: Output) -> Result<Ending, CliError> {
    let archive = open_archive(settings, archive, true).await?;
    let mut backups = Vec::new();
    let mut ending = Ending::Done;
    for name in Manifest::names(archive.as_ref()).await? {
        let content = read(archive.as_ref(), &name).await?;
        if matches!(content, Content::Unreadable { .. }) {
            ending = Ending::Failed;
        }
        backups.push(Listed { manifest: name, content });
    }
    output.value(&backups, |backups| table(backups, &archive.location()))?;
    Ok(ending)
}

async fn read(archive: &dyn ArchiveStore, name: &str) -> Result<Content, ArchiveError> {
    let problem = match Manifest::read(archive, name).await {
        Ok(manifest) => {
            return Ok(Content::Readable {
                created_at: manifest.created_at,
                bytes: manifest.bytes(),
                files: manifest.files.len() as u64,
                version: manifest.version,
                objects: manifest.objects,
                left_out: manifest.left_out,
            });
        }
        Err(ArchiveError::Manifest { problem, .. }) => format!("damaged: {problem}"),
        Err(error @ ArchiveError::Newer { .. }) => error.to_string(),
        Err(error) => return Err(error),
    };
    Ok(Content::Unreadable { created_at: Manifest::time_in(name), problem })
}

fn table(backups: &[Listed], location: &str) -> String {
    if backups.is_empty() {
        return format!("no backups in {location}");
    }
    let mut table = out::table(&["time", "version", "files", "bytes", "not in the backup"]);
    let mut problems = Vec::new();
    for Listed { manifest, content } in backups {
        match content {
            Content::Readable { created_at, version, files, bytes, left_out, objects: _ } => table.add_row([
                created_at.to_string().into(),
                version.clone().into(),
                out::number(files),
                out::number(bytes),
                comfy_table::Cell::new(left_out.join(", ")),
            ]),
            Content::Unreadable { created_at, problem } => {
                problems.push(format!("{manifest}: {problem}"));
                let time = created_at.map_or_else(|| "unknown".to_owned(), |created_at| created_at.to_string());
                table.add_row([time, String::new(), String::new(), String::new(), "damaged, or newer".to_owned()])
            }
        };
    }
    [vec![table.to_string()], problems].concat().join("\n")
}
