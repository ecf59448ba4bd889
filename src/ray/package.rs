//! The driver, as Ray takes it: a zip of one file, named by its content.

use std::io::{Cursor, Write};

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// What runs on the cluster: it starts workers, starts again those that die, and ends when the service says so.
const DRIVER: &str = include_str!("../../zarf/ray/driver.py");

/// The driver's name in the zip.
pub(super) const FILE: &str = "driver.py";

/// A zip for the cluster's own store of packages.
#[derive(Debug)]
pub(super) struct Package {
    /// Of its content.
    pub(super) name: String,
    pub(super) bytes: bytes::Bytes,
}

impl Package {
    /// The driver of this build.
    pub(super) fn of_driver() -> Result<Self, String> {
        let bytes = zipped(DRIVER).map_err(|error| format!("the driver cannot be packed: {error}"))?;
        let hash = hex::encode(Sha256::digest(&bytes));
        // Ray takes any name of that form for a hash.
        Ok(Self { name: format!("_ray_pkg_{}.zip", &hash[..32]), bytes: bytes.into() })
    }

    /// What a submission calls it.
    pub(super) fn uri(&self) -> String {
        format!("gcs://{}", self.name)
    }
}

/// The same bytes each time: no time of the day in it.
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
    fn the_driver_is_packed_whole_and_always_under_the_same_name() {
        let package = Package::of_driver().unwrap();
        assert_eq!(package.name, Package::of_driver().unwrap().name);
        let mut zip = zip::ZipArchive::new(Cursor::new(package.bytes)).unwrap();
        let mut text = String::new();
        zip.by_name(FILE).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), zip.len()), (DRIVER, 1));
        assert_ne!(zipped("other").unwrap(), zipped(DRIVER).unwrap());
    }

    #[test]
    fn the_driver_is_short_and_needs_nothing_but_python_and_ray() {
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
