//! Checks the free space of the data folder.

use super::{CheckResult, Doctor, Problem, finding};
use crate::disk::{Bytes, DiskLevel, DiskSpace};

impl Doctor {
    /// Checks whether the disk of the data folder has more than twice the space of `GLIMPSE_DISK_MIN_FREE`.
    pub async fn disk(&self) -> CheckResult {
        finding("disk", async { self.check_disk() }).await
    }

    fn check_disk(&self) -> Result<String, Problem> {
        let folder = &self.settings.locations.glimpse_data_dir;
        let min_free = self.settings.disk.glimpse_disk_min_free;
        let unknown = |error| Problem::new(&error, format!("make {} (GLIMPSE_DATA_DIR) readable", folder.display()));
        let Some(space) = DiskSpace::measure(folder).map_err(unknown)? else {
            return Ok("its file system does not report its size; free space is not watched".to_owned());
        };
        let min = min_free.bytes(space.total);
        let found = format!(
            "{} of {} free; the minimum is {} (GLIMPSE_DISK_MIN_FREE={min_free})",
            Bytes(space.free),
            Bytes(space.total),
            Bytes(min)
        );
        let consequence = match space.level(min, DiskLevel::Enough) {
            DiskLevel::Enough => return Ok(found),
            DiskLevel::Low => "jobs, mirrors and uploads will wait below the minimum",
            DiskLevel::Full => "jobs, mirrors and uploads wait",
        };
        let advice = "free some space, use a larger disk (GLIMPSE_DATA_DIR), or set a smaller GLIMPSE_DISK_MIN_FREE";
        Err(Problem::new(&format!("{found}: {consequence}"), advice))
    }
}
