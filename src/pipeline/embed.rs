//! The step that gets the vectors of a batch: from a record or a call of the model that had the same bytes, or from the
//! model.

use std::sync::Arc;

use super::RunError;
use super::ready::{Content, Ready};
use super::shared_vectors::{Claim, Computation};
use super::steps::Steps;
use super::store::Pending;
use crate::domain::FailureClass;
use crate::imaging::PreparedImage;
use crate::resilience::measured;
use crate::telemetry::traces;

/// An image for the model.
struct New {
    ready: Ready,
    image: PreparedImage,
    /// Absent if another call of the model for the same bytes ended without a vector: no image waits for this one.
    computation: Option<Computation>,
}

impl Steps {
    pub(super) async fn embed(self, chunk: Vec<Ready>) -> Vec<Pending> {
        let (pipeline, run) = (self.pipeline(), self.current_run());
        let mut embedded = Vec::with_capacity(chunk.len());
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for ready in chunk {
            let image = match &ready.image {
                Content::New(prepared) => prepared.image.clone(),
                Content::Known(record) => {
                    let embedding = record.embedding.clone();
                    embedded.push(ready.into_pending(embedding, &run.space));
                    continue;
                }
            };
            if let Some(embedding) = pipeline.vectors.get(&ready.task.image.uri.id()) {
                embedded.push(ready.into_pending(embedding.clone(), &run.space));
                continue;
            }
            match self.shared_vectors().claim(&ready.sha256) {
                Claim::Own(computation) => own.push(New { ready, image, computation: Some(computation) }),
                Claim::Other(vector) => others.push((ready, image, vector)),
            }
        }
        // Its own vectors are known before it waits for those of other calls: two calls never wait for each other.
        if self.embed_new(own, &mut embedded).await.is_none() {
            return Vec::new();
        }
        let mut rest = Vec::new();
        for (ready, image, vector) in others {
            match vector.get().await {
                Some(embedding) => {
                    pipeline.reused.increment(1);
                    embedded.push(ready.into_pending(embedding, &run.space));
                }
                None => rest.push(New { ready, image, computation: None }),
            }
        }
        match self.embed_new(rest, &mut embedded).await {
            Some(()) => embedded,
            None => Vec::new(),
        }
    }

    /// Calls the model, and adds the records to `embedded`. Returns `None` if the run ends.
    async fn embed_new(&self, new: Vec<New>, embedded: &mut Vec<Pending>) -> Option<()> {
        if new.is_empty() {
            return Some(());
        }
        let (pipeline, run) = (self.pipeline(), self.current_run());
        let images: Vec<PreparedImage> = new.iter().map(|one| one.image.clone()).collect();
        let spans = self.traces().all(new.iter().map(|one| one.ready.task.ticket));
        let embedding = measured(pipeline.embed_halving(&images));
        let (embeddings, worked) = traces::batch("embed", &spans, images.len(), embedding).await;
        run.stages.embed.took(worked);
        let embeddings = match embeddings {
            Ok(embeddings) => embeddings,
            Err(error) => return self.stop_with(error),
        };
        if let Err(error) = self.check_space().await {
            return self.stop_with(error);
        }
        let mut failed = Vec::new();
        for (New { ready, computation, .. }, embedding) in new.into_iter().zip(embeddings) {
            match embedding {
                Ok(embedding) => {
                    if let Some(computation) = computation {
                        computation.done(embedding.clone());
                    }
                    embedded.push(ready.into_pending(embedding, &run.space));
                }
                Err(error) => failed.push((ready.task, error)),
            }
        }
        // The vectors are known before the failures are reported, which can wait.
        for (task, error) in failed {
            let class = FailureClass::EmbedRejected;
            self.failed_after::<()>(error.tries(), &task, class, error.to_string()).await;
        }
        Some(())
    }

    /// Checks that the provider still has the space of the run: a provider that was down can come back with another
    /// model, and a collection must never contain vectors of two spaces.
    async fn check_space(&self) -> Result<(), RunError> {
        let (now, expected) = (self.pipeline().provider.space().await?, &self.current_run().space);
        if Arc::ptr_eq(&now, expected) { Ok(()) } else { Ok(expected.admits(&now)?) }
    }
}
