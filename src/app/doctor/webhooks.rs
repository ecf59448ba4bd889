//! Checks the receiver of webhooks, if one is set.

use super::{CheckResult, Doctor, finding};

impl Doctor {
    /// Describes the receiver of `GLIMPSE_WEBHOOK_URL`. Returns `None` if none is set. Nothing is sent: a webhook without an event
    /// would be an event for the receiver.
    pub async fn webhooks(&self) -> Option<CheckResult> {
        let settings = &self.settings.webhooks;
        let url = settings.glimpse_webhook_url.as_ref()?;
        let signed = if settings.glimpse_webhook_secret.is_some() { "signed" } else { "not signed" };
        let found = format!("the ends of jobs are sent to {url}, {signed} (GLIMPSE_WEBHOOK_URL); nothing was sent now");
        Some(finding("webhooks", async { Ok(found) }).await)
    }
}
