//! What a backup of this service contains.

use super::BuildError;
use crate::backup::{BackupSources, Backups};
use crate::config::Settings;
use crate::index::StoreKind;
use crate::index::embedded::EmbeddedIndex;
use crate::ledger::Ledger;
use crate::pinned::Pin;
use crate::source::EmbeddedS3;

/// Returns the backups of the data folder.
pub(super) fn open(
    settings: &Settings,
    index: Option<EmbeddedIndex>,
    ledger: Ledger,
    bucket: Option<&EmbeddedS3>,
) -> Result<Backups, BuildError> {
    let data = settings.locations.glimpse_data_dir.clone();
    let stores = settings.index.vector_db_provider.as_slice().iter();
    let outside = stores.filter(|kind| **kind != StoreKind::Embedded);
    let mut left_out: Vec<String> = outside.map(|kind| format!("the records in {}", kind.name())).collect();
    // A step of the maintenance of the index can take longest, so its writer is stopped first.
    let mut parts: Vec<Box<dyn Pin>> = Vec::new();
    parts.extend(index.map(|index| Box::new(index) as Box<dyn Pin>));
    parts.push(Box::new(ledger));
    match bucket {
        Some(server) => parts.push(Box::new(server.bucket_pin())),
        None => left_out.push(format!("the objects in {}", settings.source.s3_endpoint)),
    }
    let sources = BackupSources { data: data.clone(), parts, folders: vec!["calibration"], left_out };
    Backups::open(sources).map_err(|source| BuildError::Folder { folder: data, source })
}
