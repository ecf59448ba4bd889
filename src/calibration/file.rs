//! JSON files that are written whole or not at all.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::owner_only;

/// Reads a file of at most `max_bytes`. Returns `None` if the file does not exist or does not have this form.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, max_bytes: u64) -> Option<T> {
    let is_small = path.metadata().is_ok_and(|file| file.len() <= max_bytes);
    let bytes = std::fs::read(path).ok().filter(|_| is_small)?;
    serde_json::from_slice(&bytes).ok()
}

/// Writes a file and creates its folder.
///
/// # Errors
/// The error of the file system.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        owner_only::create_folder(folder, true)?;
    }
    let incomplete = path.with_extension("incomplete");
    let written = std::fs::write(&incomplete, text).and_then(|()| std::fs::rename(&incomplete, path));
    if written.is_err() {
        std::fs::remove_file(incomplete).ok();
    }
    written
}
