//! The fits of collections: one file for each, in the folder `collections` beside the calibrations of models.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use super::file;
use super::refit::{Platt, Refit};
use crate::domain::{CollectionName, Space};
use crate::lock::lock;

/// The largest file that is read: the probes of a space have about 100 kB.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The fits of all collections, in memory and in files.
pub(super) struct Refits {
    folder: PathBuf,
    all: Mutex<HashMap<CollectionName, Refit>>,
}

impl Refits {
    /// Reads the files below the folder of the calibrations.
    pub(super) fn load(calibrations: &Path) -> Self {
        let folder = calibrations.join("collections");
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let files = files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
        let fits = files.filter_map(|path| file::read::<Refit>(&path, MAX_FILE_BYTES));
        let valid = fits.filter(|refit| {
            refit.platt.slope.is_finite() && refit.platt.slope > 0.0 && refit.platt.intercept.is_finite()
        });
        let all = valid.map(|refit| (refit.collection.clone(), refit)).collect();
        Self { folder, all: Mutex::new(all) }
    }

    /// Returns the fit of a collection.
    pub(super) fn get(&self, collection: &CollectionName) -> Option<Refit> {
        lock(&self.all).get(collection).cloned()
    }

    /// Returns the numbers of the fit of a collection, if its space was measured.
    pub(super) fn platt(&self, collection: &CollectionName, space: &Space) -> Option<Platt> {
        lock(&self.all).get(collection).filter(|refit| refit.space.admits(space).is_ok()).map(|refit| refit.platt)
    }

    /// Stores a fit, in place of an earlier one.
    ///
    /// # Errors
    /// The error of the file system.
    pub(super) fn put(&self, refit: Refit) -> io::Result<()> {
        file::write(&self.path(&refit.collection), &serde_json::to_string(&refit)?)?;
        lock(&self.all).insert(refit.collection.clone(), refit);
        Ok(())
    }

    /// Removes the fit of a collection, if there is one.
    ///
    /// # Errors
    /// The error of the file system.
    pub(super) fn remove(&self, collection: &CollectionName) -> io::Result<()> {
        match std::fs::remove_file(self.path(collection)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        lock(&self.all).remove(collection);
        Ok(())
    }

    /// A hash, because some file systems do not distinguish names by case.
    fn path(&self, collection: &CollectionName) -> PathBuf {
        let name = hex::encode(&Sha256::digest(collection.as_str())[..8]);
        self.folder.join(format!("{name}.json"))
    }
}
