//! Leases work from a service in another process for the pool in this process, and sends records to its embedded index.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::ServiceClient;
use super::measures::Measures;
use crate::domain::wire::{RecordsReply, RecordsRequest};
use crate::domain::{DependencyError, FailureKind};
use crate::index::remote::RecordsClient;
use crate::jobs::pool::broker::{LeaseBroker, LeaseError, LeaseStatus, Offer};
use crate::jobs::remote::protocol::wire::{JoinRequest, LeaseReply};
use crate::ledger::{Held, Report};
use crate::resilience::Retryable;

/// Leases batches of one job over HTTP.
#[derive(Debug)]
pub struct ServiceBroker {
    client: Arc<ServiceClient>,
    /// Sent again to a service that was restarted. The leases of the worker are still in the ledger.
    join_request: JoinRequest,
    /// The interval of heartbeats: a third of the duration of a lease.
    renew_every: Duration,
    measures: Measures,
}

impl ServiceBroker {
    /// Creates a broker for the job of the client. `lease_seconds` is the duration of a lease.
    pub fn new(client: Arc<ServiceClient>, join_request: JoinRequest, lease_seconds: u64, measures: Measures) -> Self {
        Self { client, join_request, renew_every: Duration::from_secs(lease_seconds) / 3, measures }
    }
}

#[async_trait]
impl LeaseBroker for ServiceBroker {
    async fn lease(&self, held: Vec<Held>) -> Result<Offer, LeaseError> {
        loop {
            match self.client.lease(held.clone()).await {
                Ok(LeaseReply::Batch(batch)) => return Ok(Offer::Batch(batch)),
                Ok(LeaseReply::Wait { wait_ms }) => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
                Ok(LeaseReply::Stop { .. }) => return Ok(Offer::NoMoreWork),
                Err(LeaseError::NotJoined) => self.client.join_again(&self.join_request).await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn renew(&self, held: Vec<Held>) -> Result<LeaseStatus, LeaseError> {
        // The service renews the leases of a worker even if the worker has not joined yet. So the heartbeats continue
        // while the job waits for its turn.
        let pause = self.renew_every / 2;
        loop {
            match self.client.heartbeat(held.clone(), self.measures.now(), pause).await {
                Err(LeaseError::NotJoined) => {}
                status => return status,
            }
            match self.client.try_join_again(&self.join_request, pause).await {
                Ok(None) => {}
                Ok(Some(wait)) => tokio::time::sleep(wait.min(pause)).await,
                Err(error) if error.is_retryable() => {
                    tracing::debug!(%error, "the service does not know this worker any more and does not accept it yet");
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn report(&self, reports: Vec<Report>, held: Vec<Held>) -> Result<LeaseStatus, LeaseError> {
        let mut total = LeaseStatus::default();
        for report in reports {
            let status = loop {
                match self.client.report(report.clone(), held.clone(), self.measures.due()).await {
                    Err(LeaseError::NotJoined) => self.client.join_again(&self.join_request).await?,
                    status => break status?,
                }
            };
            total.stop |= status.stop;
            total.lost.extend(status.lost);
            total.gone.extend(status.gone);
        }
        Ok(total)
    }

    async fn log(&self, lines: Vec<String>) -> Result<(), LeaseError> {
        self.client.log(lines).await
    }

    /// Reports an exit. The worker joins again before it leases more work.
    async fn give_back(&self) -> Result<(), LeaseError> {
        self.client.exit(0).await
    }

    fn renew_every(&self) -> Option<Duration> {
        Some(self.renew_every)
    }
}

#[async_trait]
impl RecordsClient for ServiceClient {
    async fn send(&self, request: RecordsRequest) -> Result<RecordsReply, DependencyError> {
        self.records(&request).await.map_err(|error| match error {
            LeaseError::Service(down) => down,
            // The service refuses everything from this worker. The worker learns this from its leases a moment later.
            error => DependencyError {
                dependency: "embedded".to_owned(),
                failure: FailureKind::Refused,
                detail: error.to_string(),
            },
        })
    }
}
