//! Files of archives and of data folders: only their owner can read them, and only regular files are read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use bytes::Bytes;

use super::ArchiveError;

/// Reads a regular file. Does not wait for a pipe, and does not follow a link.
pub(super) fn read_file(path: &Path, max_bytes: u64) -> Result<Option<Bytes>, ArchiveError> {
    let failed = |error| ArchiveError::from_file(path)(error);
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(ArchiveError::NotAFile(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    let read = || -> io::Result<Vec<u8>> {
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len().min(max_bytes)).unwrap_or(0));
        file.take(max_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Creates a folder of an archive. A link in its place is an error: the owner of the archive could lead a backup of root
/// elsewhere.
pub(super) fn create_own_folder(folder: &Path, archive: &Path) -> io::Result<()> {
    let mut folders: Vec<&Path> = folder.ancestors().take_while(|ancestor| *ancestor != archive).collect();
    // From the archive downwards, so that nothing is created behind a link.
    folders.reverse();
    for folder in folders {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if !folder.symlink_metadata()?.is_dir() {
            let problem = format!("{} is not a folder, but a file or a link; remove it", folder.display());
            return Err(io::Error::other(problem));
        }
        give_to_owner(folder, archive)?;
    }
    Ok(())
}

/// Creates or empties a file. Does not follow a link.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).custom_flags(flags).open(path)
}

/// If the process runs as root, gives a new file or folder to the owner of the archive: a backup of root must not be in the
/// way of those of the user to whom the archive belongs.
pub(super) fn give_to_owner(path: &Path, archive: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (owner, file) = (archive.metadata()?, path.symlink_metadata()?);
    if (owner.uid(), owner.gid()) == (file.uid(), file.gid()) {
        return Ok(());
    }
    std::os::unix::fs::lchown(path, Some(owner.uid()), Some(owner.gid()))
}

/// Returns when the names in a folder are on the disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns when everything in the file system of a folder is on the disk: one call in place of one for each file.
pub(super) fn sync_all(folder: &Path) -> io::Result<()> {
    let folder = File::open(folder)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    #[cfg(not(target_os = "linux"))]
    {
        rustix::fs::sync();
    }
    folder.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_not_more_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("/dev/zero", path("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::RUSR).unwrap();
        create_folder(&path("folder")).unwrap();
        for name in ["link", "pipe", "folder"] {
            assert!(matches!(read_file(&path(name), 10), Err(ArchiveError::NotAFile(_))), "{name}");
        }
        fs::write(path("large"), [0; 30]).unwrap();
        assert_eq!(read_file(&path("large"), 10).unwrap().unwrap().len(), 10);
        assert_eq!(read_file(&path("missing"), 10).unwrap(), None);
    }
}
