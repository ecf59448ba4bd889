//! Removes old backups, and the chunks that no other backup needs.

use std::collections::HashSet;

use futures::TryStreamExt;

use super::manifest::Manifest;
use super::{ArchiveError, ArchiveStore, CHUNKS};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Backups.
    pub backups: u64,
    /// Chunks.
    pub chunks: u64,
}

/// Keeps the `keep` newest backups. The manifests are removed first: if this is interrupted, no manifest lacks a chunk.
///
/// # Errors
/// Returns [`ArchiveError`] if a manifest that is kept cannot be read, or if files cannot be removed.
pub async fn prune(archive: &dyn ArchiveStore, keep: usize) -> Result<Pruned, ArchiveError> {
    let names = Manifest::names(archive).await?;
    let (old, kept) = names.split_at(names.len().saturating_sub(keep));
    let mut needed: HashSet<[u8; 32]> = HashSet::new();
    for name in kept {
        let manifest = Manifest::read(archive, name).await?;
        needed.extend(manifest.files.iter().flat_map(|file| &file.chunks).filter_map(|hash| parse(hash)));
    }
    let mut pruned = Pruned::default();
    for name in old {
        archive.remove(name).await?;
        pruned.backups += 1;
    }
    let mut chunks = archive.list(CHUNKS);
    while let Some(name) = chunks.try_next().await? {
        let hash = name.rsplit('/').next().and_then(parse);
        if hash.is_some_and(|hash| !needed.contains(&hash)) {
            archive.remove(&name).await?;
            pruned.chunks += 1;
        }
    }
    Ok(pruned)
}

fn parse(hash: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash, &mut bytes).ok().map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::manifest::tests::manifest;
    use super::super::{FolderArchive, check_chunks, chunk_name, digest};
    use super::*;

    #[tokio::test]
    async fn chunks_stay_if_a_kept_backup_needs_them() {
        let folder = tempfile::tempdir().unwrap();
        let archive = FolderArchive::open_to_write(folder.path()).unwrap();
        for bytes in [&b"one"[..], b"two", b"three", b"of a killed backup"] {
            archive.write(&chunk_name(&digest(bytes)), Bytes::copy_from_slice(bytes)).await.unwrap();
        }
        let backups = [
            manifest(1, &[("a", b"one"), ("b", b"two")]),
            manifest(2, &[("a", b"two"), ("b", b"three")]),
            manifest(3, &[("a", b"three")]),
        ];
        for backup in &backups {
            backup.write(&archive).await.unwrap();
        }
        assert_eq!(prune(&archive, 2).await.unwrap(), Pruned { backups: 1, chunks: 2 });
        for backup in &backups[1..] {
            let checked = check_chunks(&archive, backup).await.unwrap();
            assert_eq!((checked.damaged, checked.files), (0, backup.files.len() as u64));
        }
        assert_eq!(
            check_chunks(&archive, &backups[0]).await.unwrap().named[0].to_string(),
            format!("the chunk {} of the file a is missing", chunk_name(&digest(b"one")))
        );
        assert_eq!(prune(&archive, 5).await.unwrap(), Pruned::default());
    }
}
