//! The pool in this process.

use std::sync::Arc;

use futures::stream::{self, Stream};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::domain::{JobCounts, JobRecord};
use crate::jobs::ledger::{Leased, Ledger};
use crate::jobs::progress::Live;
use crate::jobs::trouble::JobTrouble;
use crate::pipeline::{Outcome, Pipeline, Run, Task};

/// The name under which it leases.
pub(in crate::jobs) const WORKER: &str = "local";

/// Outcomes that may wait for their report.
const QUEUE: usize = 256;

/// Leases batches of one job and works them off.
#[derive(Clone)]
pub(in crate::jobs) struct LocalPool {
    pub(in crate::jobs) ledger: Ledger,
    pub(in crate::jobs) pipeline: Pipeline,
    pub(in crate::jobs) planned: Arc<Notify>,
}

impl LocalPool {
    /// Works until nothing is left, or until `stop`; what is in flight then is finished and reported.
    pub(in crate::jobs) async fn work(
        &self,
        job: &JobRecord,
        run: Run,
        live: &Live,
        stop: &CancellationToken,
    ) -> Result<(), JobTrouble> {
        let (outcomes, reports) = mpsc::channel(QUEUE);
        // The chain stops itself where a dependency breaks; the listing and the job are told by the error.
        let stop = stop.child_token();
        let space = run.space.name();
        let batches = self.batches(job.clone());
        let chain = self.pipeline.run(run, batches, outcomes, stop.clone());
        let (worked, reported) = tokio::join!(chain, self.report(job, &space, live, reports, &stop));
        // Why the ledger or the failures ended it says more than what the chain met on its way out.
        reported?;
        Ok(worked?)
    }

    /// Leases as the chain takes.
    fn batches(&self, job: JobRecord) -> impl Stream<Item = Vec<Task>> + Send + use<> {
        let Self { ledger, planned, .. } = self.clone();
        stream::unfold((ledger, planned, job), |(ledger, planned, job)| async move {
            loop {
                // Listening begins before asking: a page planned in between is not missed.
                let pages = planned.clone();
                let more = pages.notified();
                match ledger.lease(job.id, WORKER).await {
                    Ok(Leased::Batch(tasks)) => return Some((tasks, (ledger, planned, job))),
                    Ok(Leased::NothingYet) => more.await,
                    Ok(Leased::NothingLeft) => return None,
                    Err(error) => {
                        tracing::error!(job.id = %job.id, %error, "leasing");
                        return None;
                    }
                }
            }
        })
    }

    /// Writes outcomes down as they come, as many in one transaction as are there.
    async fn report(
        &self,
        job: &JobRecord,
        space: &str,
        live: &Live,
        mut outcomes: mpsc::Receiver<Outcome>,
        stop: &CancellationToken,
    ) -> Result<(), JobTrouble> {
        let mut verdict = Ok(());
        let mut some = Vec::with_capacity(QUEUE);
        while outcomes.recv_many(&mut some, QUEUE).await > 0 {
            let reports = std::mem::take(&mut some);
            let counted = self.ledger.report(job.id, job.spec.collection.clone(), space.to_owned(), reports).await;
            match counted {
                Ok(counts) => {
                    live.count(&counts);
                    if verdict.is_ok() {
                        verdict = within(job, &counts);
                    }
                }
                Err(error) if verdict.is_ok() => verdict = Err(error.into()),
                Err(error) => tracing::error!(job.id = %job.id, %error, "reporting"),
            }
            if verdict.is_err() {
                stop.cancel();
            }
        }
        verdict
    }
}

fn within(job: &JobRecord, counts: &JobCounts) -> Result<(), JobTrouble> {
    match job.spec.max_failures {
        Some(most) if counts.failed > most => Err(JobTrouble::TooManyFailures { failed: counts.failed, most }),
        _ => Ok(()),
    }
}
