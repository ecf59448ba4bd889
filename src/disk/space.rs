//! The free space of a disk, and whether it is enough.

use std::fmt;
use std::io;
use std::path::Path;

/// The space of a disk in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// What this user can still write.
    pub free: u64,
    /// The size of the disk.
    pub total: u64,
}

/// How much space there is, compared with the minimum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskLevel {
    /// More than twice the minimum, or not known.
    #[default]
    Enough,
    /// Less than twice the minimum: a warning.
    Low,
    /// Less than the minimum: jobs, mirrors and uploads wait.
    Full,
}

impl DiskSpace {
    /// Measures the disk of a folder. For a folder that does not exist, it is the disk on which it would be created. Returns
    /// `None` if the file system does not report its size.
    ///
    /// # Errors
    /// Fails if the folder cannot be examined.
    pub fn measure(folder: &Path) -> io::Result<Option<Self>> {
        let folder = if folder.is_absolute() { folder.to_owned() } else { std::env::current_dir()?.join(folder) };
        let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        let found = rustix::fs::statvfs(existing)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let space = Self { free: bytes(found.f_bavail), total: bytes(found.f_blocks) };
        Ok(Some(space).filter(|space| space.total > 0))
    }

    /// Returns the level. It changes back only when there is a tenth more than at the change, so that it does not alternate.
    pub fn level(self, min: u64, before: DiskLevel) -> DiskLevel {
        let limit = |times: u64, level: DiskLevel| {
            let limit = min.saturating_mul(times);
            if before >= level { limit.saturating_add(limit / 10) } else { limit }
        };
        if min == 0 {
            DiskLevel::Enough
        } else if self.free < limit(1, DiskLevel::Full) {
            DiskLevel::Full
        } else if self.free < limit(2, DiskLevel::Low) {
            DiskLevel::Low
        } else {
            DiskLevel::Enough
        }
    }
}

/// A number of bytes for people.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            small if small < 10 << 20 => write!(f, "{} KB", small >> 10),
            medium if medium < 10 << 30 => write!(f, "{} MB", medium >> 20),
            large => write!(f, "{} GB", large >> 30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_changes_back_only_with_a_tenth_more() {
        let level = |free, before| DiskSpace { free, total: 1_000 }.level(100, before);
        let [enough, low, full] = [DiskLevel::Enough, DiskLevel::Low, DiskLevel::Full];
        assert_eq!(
            [level(200, enough), level(199, enough), level(100, enough), level(99, enough)],
            [enough, low, low, full]
        );
        assert_eq!([level(219, low), level(220, low), level(99, low)], [low, enough, full]);
        assert_eq!([level(109, full), level(110, full), level(219, full), level(220, full)], [full, low, low, enough]);
        assert_eq!(DiskSpace { free: 0, total: 1_000 }.level(0, full), enough, "it is off");
    }

    #[test]
    fn a_folder_that_does_not_exist_has_the_disk_of_its_parent() {
        let parent = tempfile::tempdir().unwrap();
        let space = DiskSpace::measure(&parent.path().join("a/b")).unwrap().unwrap();
        assert!(space.free <= space.total && space.total > 0);
        assert!(
            DiskSpace::measure(Path::new("data-of-no-one")).unwrap().is_some(),
            "relative to the working directory"
        );
    }

    #[test]
    fn bytes_have_a_unit_that_fits() {
        let text = |bytes| Bytes(bytes).to_string();
        assert_eq!([text(300 << 10), text(500 << 20), text(20 << 30)], ["300 KB", "500 MB", "20 GB"]);
    }
}
