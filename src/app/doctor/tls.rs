//! Checks the certificate of the service, if one is set.

use std::time::Duration;

use super::{CheckResult, Doctor, Problem, finding};
use crate::server::check_pair;

/// How long before its end a certificate is reported.
const WARN_BEFORE: Duration = Duration::from_hours(14 * 24);
const SECONDS_OF_A_DAY: u64 = 24 * 60 * 60;

impl Doctor {
    /// Checks the files of `GLIMPSE_TLS_CERT` and `GLIMPSE_TLS_KEY`. Returns `None` if none are set.
    pub async fn tls(&self) -> Option<CheckResult> {
        let (certificate, key) = self.settings.tls.files()?;
        let mut warning = None;
        let check = async {
            let facts = check_pair(certificate, key).await;
            let facts = facts.map_err(|error| Problem::new(&error, "correct the files, or unset both settings"))?;
            let (names, until) = (facts.names.join(", "), &facts.until);
            if let Some(problem) = facts.problem_now() {
                let problem = format!("the certificate of {names} (until {until}) is not valid now: {problem}");
                return Err(Problem::new(&problem, "renew it; a running service reads the new files by itself"));
            }
            let days = facts.remaining().as_secs() / SECONDS_OF_A_DAY;
            if facts.remaining() < WARN_BEFORE {
                let text = "renew it; a running service reads the new files by itself (GLIMPSE_TLS_CERT)";
                warning = Some(format!("the certificate ends in less than {} days: {text}", days + 1));
            }
            Ok(format!("{names}, valid for {days} days, until {until} (GLIMPSE_TLS_CERT)"))
        };
        let result = finding("tls", check).await;
        Some(CheckResult { warning, ..result })
    }
}
