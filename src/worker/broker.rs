//! The work of a service elsewhere, for the pool in this process; and the way to its embedded index.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::ServiceClient;
use super::measures::Measures;
use crate::domain::wire::{RecordsReply, RecordsRequest};
use crate::domain::{DependencyError, Trouble};
use crate::index::remote::RecordsDoor;
use crate::jobs::lease::{LeaseBroker, LeaseError, LeaseStatus, Offer};
use crate::jobs::ledger::{Held, Report};
use crate::jobs::wire::{JoinRequest, LeaseReply};
use crate::resilience::Retryable;

/// Hands out batches of one job by HTTP.
#[derive(Debug)]
pub struct ServiceBroker {
    client: Arc<ServiceClient>,
    /// A service that was started again is told once more who the worker is; its leases are in the ledger still.
    introduction: JoinRequest,
    /// A third of a lease.
    renew_every: Duration,
    measures: Measures,
}

impl ServiceBroker {
    /// A broker of the job that the client leads to, for the chain that is measured.
    pub fn new(client: Arc<ServiceClient>, introduction: JoinRequest, lease_seconds: u64, measures: Measures) -> Self {
        Self { client, introduction, renew_every: Duration::from_secs(lease_seconds) / 3, measures }
    }
}

#[async_trait]
impl LeaseBroker for ServiceBroker {
    async fn lease(&self, held: Vec<Held>) -> Result<Offer, LeaseError> {
        loop {
            match self.client.lease(held.clone()).await {
                Ok(LeaseReply::Batch(batch)) => return Ok(Offer::Batch(batch)),
                Ok(LeaseReply::Wait { wait_ms }) => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
                Ok(LeaseReply::Stop { .. }) => return Ok(Offer::Over),
                Err(LeaseError::NotJoined) => drop(self.client.join(&self.introduction).await?),
                Err(error) => return Err(error),
            }
        }
    }

    async fn renew(&self, held: Vec<Held>) -> Result<LeaseStatus, LeaseError> {
        // A heartbeat of a worker that the service does not know yet prolongs its leases all the same, so the heart
        // goes on beating while the job's turn has not come.
        let pause = self.renew_every / 2;
        loop {
            match self.client.heartbeat(held.clone(), self.measures.now(), pause).await {
                Err(LeaseError::NotJoined) => {}
                standing => return standing,
            }
            match self.client.introduce(&self.introduction, pause).await {
                Ok(None) => {}
                Ok(Some(wait)) => tokio::time::sleep(wait.min(pause)).await,
                Err(error) if error.is_retryable() => {
                    tracing::debug!(%error, "the service knows this worker no more, and does not take it yet");
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn report(&self, reports: Vec<Report>, held: Vec<Held>) -> Result<LeaseStatus, LeaseError> {
        let mut standing = LeaseStatus::default();
        for report in reports {
            let said = loop {
                match self.client.report(report.clone(), held.clone(), self.measures.due()).await {
                    Err(LeaseError::NotJoined) => drop(self.client.join(&self.introduction).await?),
                    said => break said?,
                }
            };
            standing.stop |= said.stop;
            standing.lost.extend(said.lost);
            standing.gone.extend(said.gone);
        }
        Ok(standing)
    }

    async fn log(&self, lines: Vec<String>) -> Result<(), LeaseError> {
        self.client.log(lines).await
    }

    /// As one that leaves does; it introduces itself again before it takes anything.
    async fn give_back(&self) -> Result<(), LeaseError> {
        self.client.exit(0).await
    }

    fn renew_every(&self) -> Option<Duration> {
        Some(self.renew_every)
    }
}

#[async_trait]
impl RecordsDoor for ServiceClient {
    async fn ask(&self, request: RecordsRequest) -> Result<RecordsReply, DependencyError> {
        self.records(&request).await.map_err(|error| match error {
            LeaseError::Service(down) => down,
            // Nothing that this worker could do would be taken: its leases tell it so in a moment.
            error => DependencyError {
                dependency: "embedded".to_owned(),
                trouble: Trouble::Refused,
                detail: error.to_string(),
            },
        })
    }
}
