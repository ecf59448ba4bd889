//! Checks the keys of the settings.

use super::{CheckResult, Doctor, Problem, finding};
use crate::keys::count_keys;

impl Doctor {
    /// Checks the keys of `GLIMPSE_API_KEY` and the file of `GLIMPSE_KEYS_FILE`. Returns `None` if none is set, or if only
    /// keys of the former are, which are valid.
    pub async fn keys(&self) -> Option<CheckResult> {
        if let Err(error) = self.settings.api.check_keys() {
            let problem = Problem::new(&error, "set a longer key; with a shorter one, a service does not start");
            return Some(finding("keys", async { Err(problem) }).await);
        }
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
