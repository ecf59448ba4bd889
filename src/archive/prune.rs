//! Removes old backups, and the chunks that no other backup needs.

use std::collections::HashSet;

use futures::TryStreamExt;

use super::archived_file::{ArchivedFile, parse_hash};
use super::manifest::Manifest;
use super::{ArchiveError, ArchiveStore, CHUNKS};

/// What was removed, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Backups.
    pub backups: u64,
    /// Chunks.
    pub chunks: u64,
    /// Why manifests cannot be read. They are kept, and every chunk, because they may need it.
    pub unreadable: Vec<String>,
    /// The names of manifests with a later time than the newest backup. They are kept, and not counted.
    pub future: Vec<String>,
}

/// Keeps `newest`, which was just made, and the newest of the earlier backups, `keep` together. The manifests are removed
/// first: if this is interrupted, no manifest lacks a chunk.
///
/// # Errors
/// Returns [`ArchiveError`] if the archive cannot be listed, or if files cannot be removed.
pub async fn prune(archive: &dyn ArchiveStore, keep: usize, newest: &Manifest) -> Result<Pruned, ArchiveError> {
    let (mut pruned, mut old, mut counted) = (Pruned::default(), Vec::new(), 1);
    let mut needed: HashSet<[u8; 32]> = HashSet::new();
    let mut need = |files: &[ArchivedFile]| {
        needed.extend(files.iter().flat_map(|file| &file.chunks).filter_map(|hash| parse_hash(hash)));
    };
    need(&newest.files);
    for name in Manifest::names(archive).await?.into_iter().rev() {
        let is_future = Manifest::time_in(&name).is_some_and(|created_at| created_at > newest.created_at);
        match Manifest::read(archive, &name).await {
            Ok(manifest) if is_future => {
                need(&manifest.files);
                pruned.future.push(name);
            }
            Ok(manifest) if manifest.created_at == newest.created_at => need(&manifest.files),
            Ok(manifest) if counted < keep => {
                need(&manifest.files);
                counted += 1;
            }
            Ok(_) => old.push(name),
            Err(error @ (ArchiveError::Manifest { .. } | ArchiveError::Newer { .. })) => {
                pruned.unreadable.push(match error {
                    ArchiveError::Manifest { problem, .. } => format!("the manifest {name} is damaged: {problem}"),
                    error => format!("the manifest {name} cannot be read: {error}"),
                });
            }
            Err(error) => return Err(error),
        }
    }
    for name in old {
        archive.remove(&name).await?;
        pruned.backups += 1;
    }
    if !pruned.unreadable.is_empty() {
        return Ok(pruned);
    }
    let mut chunks = archive.list(CHUNKS);
    while let Some(entry) = chunks.try_next().await? {
        let hash = entry.name.rsplit('/').next().and_then(parse_hash);
        if hash.is_some_and(|hash| !needed.contains(&hash)) {
            archive.remove(&entry.name).await?;
            pruned.chunks += 1;
        }
    }
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::manifest::tests::manifest;
    use super::super::{FolderArchive, check_chunks, chunk_name, digest};
    use super::*;

    fn removed(backups: u64, chunks: u64) -> Pruned {
        Pruned { backups, chunks, ..Pruned::default() }
    }

    #[tokio::test]
    async fn chunks_stay_if_a_kept_backup_needs_them() {
        let folder = tempfile::tempdir().unwrap();
        let archive = FolderArchive::open_to_write(folder.path()).await.unwrap();
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
        assert_eq!(prune(&archive, 2, &backups[2]).await.unwrap(), removed(1, 2));
        for backup in &backups[1..] {
            let checked = check_chunks(&archive, backup).await.unwrap();
            assert_eq!((checked.damaged, checked.files), (0, backup.files.len() as u64));
        }
        assert_eq!(
            check_chunks(&archive, &backups[0]).await.unwrap().named[0].to_string(),
            format!("the chunk {} of the file a is missing", chunk_name(&digest(b"one")))
        );
        assert_eq!(prune(&archive, 5, &backups[2]).await.unwrap(), Pruned::default());
    }

    #[tokio::test]
    async fn the_new_backup_stays_also_beside_one_of_the_future() {
        let folder = tempfile::tempdir().unwrap();
        let archive = FolderArchive::open_to_write(folder.path()).await.unwrap();
        let (old, new, future) = (manifest(1, &[]), manifest(2, &[]), manifest(4_070_908_800, &[]));
        let mut names = Vec::new();
        for backup in [&old, &new, &future] {
            names.push(backup.write(&archive).await.unwrap());
        }
        let expected = Pruned { future: vec![names[2].clone()], ..removed(1, 0) };
        assert_eq!(prune(&archive, 1, &new).await.unwrap(), expected);
        assert_eq!(Manifest::names(&archive).await.unwrap(), names[1..]);
    }

    #[tokio::test]
    async fn an_unreadable_manifest_keeps_every_chunk() {
        let folder = tempfile::tempdir().unwrap();
        let archive = FolderArchive::open_to_write(folder.path()).await.unwrap();
        for bytes in [&b"one"[..], b"two", b"three"] {
            archive.write(&chunk_name(&digest(bytes)), Bytes::copy_from_slice(bytes)).await.unwrap();
        }
        let backups = [manifest(1, &[("a", b"one")]), manifest(2, &[("a", b"two")]), manifest(3, &[("a", b"three")])];
        let mut names = Vec::new();
        for backup in &backups {
            names.push(backup.write(&archive).await.unwrap());
        }
        std::fs::write(folder.path().join(&names[0]), "{}").unwrap();
        let pruned = prune(&archive, 1, &backups[2]).await.unwrap();
        assert_eq!((pruned.backups, pruned.chunks), (1, 0));
        assert!(pruned.unreadable[0].contains(&names[0]), "{pruned:?}");
        assert_eq!(check_chunks(&archive, &backups[0]).await.unwrap().damaged, 0);
        assert_eq!(Manifest::names(&archive).await.unwrap(), [names[0].clone(), names[2].clone()]);
        // Without it, the rest is removed.
        archive.remove(&names[0]).await.unwrap();
        assert_eq!(prune(&archive, 1, &backups[2]).await.unwrap(), removed(0, 2));
    }
}
