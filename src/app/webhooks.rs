//! The sender of webhooks, if the settings name a receiver.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use super::BuildError;
use crate::api::replies::{JobReply, MirrorReply};
use crate::config::Settings;
use crate::domain::{InvalidSetting, TrustedFiles};
use crate::jobs::{Jobs, JobsError};
use crate::ledger::Ledger;
use crate::mirrors::{Mirrors, MirrorsError};
use crate::shutdown::Shutdown;
use crate::webhooks::{Subjects, Webhooks, WebhooksError};

/// Records in the ledger whether there is a receiver: before the first job can end.
pub(super) async fn open(ledger: &Ledger, settings: &Settings) -> Result<Option<Webhooks>, BuildError> {
    for caution in settings.cautions() {
        tracing::warn!("{caution}");
    }
    let trusted = TrustedFiles { authorities: settings.locations.glimpse_ca_file.clone(), own: None };
    Webhooks::open(ledger, &settings.webhooks, &trusted).await.map_err(|error| match error {
        WebhooksError::Ledger(error) => BuildError::Ledger(error),
        error @ WebhooksError::Client(_) => BuildError::Setting(InvalidSetting(error.to_string())),
    })
}

/// Starts to send webhooks.
pub(super) fn start(webhooks: Option<Webhooks>, jobs: &Jobs, mirrors: &Mirrors, shutdown: &Shutdown) {
    if let Some(webhooks) = webhooks {
        let views = Arc::new(Views { jobs: jobs.clone(), mirrors: mirrors.clone() });
        shutdown.spawn("sender of webhooks", webhooks.keep(views, shutdown.drain()));
    }
}

/// Jobs and mirrors as the API returns them.
struct Views {
    jobs: Jobs,
    mirrors: Mirrors,
}

#[async_trait]
impl Subjects for Views {
    async fn job(&self, id: &str) -> Result<Option<Value>, String> {
        match self.jobs.get(id).await {
            Ok(job) => to_json(&JobReply::from(job)),
            Err(JobsError::Unknown(_)) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn mirror(&self, name: &str) -> Result<Option<Value>, String> {
        match self.mirrors.get(name).await {
            Ok(mirror) => to_json(&MirrorReply::from(mirror)),
            Err(MirrorsError::Unknown(_)) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn to_json(reply: &impl Serialize) -> Result<Option<Value>, String> {
    serde_json::to_value(reply).map(Some).map_err(|error| error.to_string())
}
