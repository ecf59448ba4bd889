//! The driver as a package for Ray: a zip of one file, whose name depends on the content.

use std::io::{Cursor, Write};

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The program that runs on the cluster: it starts workers, restarts those that die, and ends when the job ends.
const DRIVER: &str = include_str!("../../zarf/ray/driver.py");

/// The name of the driver in the zip.
pub(super) const FILE: &str = "driver.py";

/// A zip for the package store of the cluster.
#[derive(Debug)]
pub(super) struct Package {
    /// The name, which contains a hash of the content.
    pub(super) name: String,
    pub(super) bytes: bytes::Bytes,
}

impl Package {
    /// Packs the driver of this build.
    pub(super) fn of_driver() -> Result<Self, String> {
        let bytes = zipped(DRIVER).map_err(|error| format!("the driver cannot be packed: {error}"))?;
        let hash = hex::encode(Sha256::digest(&bytes));
        // Ray accepts any name of this form as a hash.
        Ok(Self { name: format!("_ray_pkg_{}.zip", &hash[..32]), bytes: bytes.into() })
    }

    /// Returns the URI of the package in a submission.
    pub(super) fn uri(&self) -> String {
        format!("gcs://{}", self.name)
    }
}

/// Returns the zip. Its bytes are the same each time, because it has no timestamp.
fn zipped(driver: &str) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    zip.start_file(FILE, options)?;
    zip.write_all(driver.as_bytes())?;
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_package_has_the_whole_driver_and_always_the_same_name() {
        let package = Package::of_driver().unwrap();
        assert_eq!(package.name, Package::of_driver().unwrap().name);
        let mut zip = zip::ZipArchive::new(Cursor::new(package.bytes)).unwrap();
        let mut text = String::new();
        zip.by_name(FILE).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), zip.len()), (DRIVER, 1));
        assert_ne!(zipped("other").unwrap(), zipped(DRIVER).unwrap());
    }

    #[test]
    fn the_driver_is_short_and_needs_only_python_and_ray() {
        assert!(DRIVER.lines().count() < 90);
        let known = [
            "http",
            "json",
            "os",
            "signal",
            "subprocess",
            "sys",
            "time",
            "urllib",
            "uuid",
            "ray",
            "threading",
            "typing",
        ];
        let imports = DRIVER.lines().filter_map(|line| line.strip_prefix("import ").or(line.strip_prefix("from ")));
        for import in imports {
            let module = import.split([' ', '.']).next().unwrap();
            assert!(known.contains(&module), "{import}");
        }
    }
}
