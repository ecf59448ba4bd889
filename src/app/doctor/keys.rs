//! Checks the file with keys, if one is set.

use super::{CheckResult, Doctor, Problem, finding};
use crate::keys::count_keys;

impl Doctor {
    /// Checks the file of `GLIMPSE_KEYS_FILE`. Returns `None` if none is set.
    pub async fn keys(&self) -> Option<CheckResult> {
        let path = self.settings.api.glimpse_keys_file.clone()?;
        let check = async {
            match count_keys(path.clone()).await {
                Ok(count) => Ok(format!("{count} keys in {} (GLIMPSE_KEYS_FILE)", path.display())),
                Err(error) => Err(Problem::new(&error, "correct the file; each line has NAME ROLE KEY")),
            }
        };
        Some(finding("keys", check).await)
    }
}
