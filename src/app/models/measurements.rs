//! What `glimpse models check` measured on this machine: a file in the folder of caches.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::calibration::file;
use crate::config::Settings;
use crate::domain::Timestamp;
use crate::models::{CatalogueModel, Precision};

/// The path of the file within the folder of caches.
const FILE: &str = "glimpse/measurements.json";
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Maximum number of measurements; the oldest are removed.
const MAX_MEASUREMENTS: usize = 200;

/// The speed of a model on one processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// The name in the catalogue.
    pub(crate) model: String,
    pub(crate) precision: Precision,
    pub(crate) processor: String,
    /// Name and version of the engine, and its device.
    pub(crate) engine: String,
    pub(crate) threads: usize,
    pub(crate) images_per_second: f64,
    pub(crate) texts_per_second: f64,
    pub(crate) measured_at: Timestamp,
}

/// All measurements, the latest last.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Measurements(Vec<Measurement>);

impl Measurements {
    /// Reads the file; a file that cannot be read has no measurements.
    pub(super) fn load(settings: &Settings) -> Self {
        path(settings).and_then(|path| file::read(&path, MAX_FILE_BYTES)).unwrap_or_default()
    }

    /// Returns those of one model.
    pub(super) fn of_model(&self, model: &CatalogueModel) -> Vec<Measurement> {
        self.0.iter().filter(|measured| measured.model == model.name).cloned().collect()
    }

    /// Adds a measurement to the file. It replaces the former one of the same model with the same conditions.
    ///
    /// # Errors
    /// A message if the file cannot be written.
    pub(super) fn add(settings: &Settings, new: Measurement) -> Result<(), String> {
        let path = path(settings).ok_or("no home folder is known; set XDG_CACHE_HOME to a folder")?;
        let mut all = Self::load(settings).0;
        let key = |measured: &Measurement| {
            let Measurement { model, precision, processor, engine, threads, .. } = measured.clone();
            (model, precision, processor, engine, threads)
        };
        all.retain(|measured| key(measured) != key(&new));
        all.push(new);
        all.drain(..all.len().saturating_sub(MAX_MEASUREMENTS));
        let json = serde_json::to_string_pretty(&all).unwrap_or_default();
        file::write(&path, &json).map_err(|error| {
            format!("{} cannot be written: {error}; set XDG_CACHE_HOME to a writable folder", path.display())
        })
    }
}

fn path(settings: &Settings) -> Option<PathBuf> {
    Some(settings.hub.caches()?.join(FILE))
}

/// Returns the name of the processor, or of its architecture if the system does not report it.
pub(super) fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == "model name");
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_replaces_the_former_one_and_the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.hub.xdg_cache_home = folder.path().display().to_string();
        let measured = |model: &str, threads, images_per_second| Measurement {
            model: model.to_owned(),
            precision: Precision::Fp32,
            processor: processor(),
            engine: "rten".to_owned(),
            threads,
            images_per_second,
            texts_per_second: 1.0,
            measured_at: Timestamp::now(),
        };
        for threads in 0..MAX_MEASUREMENTS {
            Measurements::add(&settings, measured("other", threads, 1.0)).unwrap();
        }
        Measurements::add(&settings, measured("clip-b-32", 2, 1.0)).unwrap();
        Measurements::add(&settings, measured("clip-b-32", 2, 2.0)).unwrap();
        let all = Measurements::load(&settings);
        let own = all.of_model(CatalogueModel::named("clip-b-32").unwrap());
        assert_eq!(own.iter().map(|measured| measured.images_per_second).collect::<Vec<_>>(), [2.0]);
        assert_eq!(all.0.len(), MAX_MEASUREMENTS);
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(Measurements::load(&settings).0.is_empty());
    }
}
