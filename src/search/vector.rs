//! The vector of a query.

use futures::future::join_all;

use super::copies::Original;
use super::query_input::Term;
use super::{QueryInput, Search, SearchError, TermInput};
use crate::calibration::QueryKind;
use crate::domain::{CollectionName, Embedding, ImageId, ImageRecord, Language, Space};
use crate::embed::{EmbedError, EmbeddingModel};
use crate::imaging::PreparedImage;
use crate::index::Stores;
use crate::telemetry::traces;

/// What the weight of a negative term is multiplied by. With more, the hits are less similar to the positive terms
/// (ADR 0014).
const NEGATIVE_FACTOR: f32 = 0.4;

/// The smallest length of the sum of the terms, if the largest weight is 1. A shorter sum consists of rounding errors.
const MIN_SUM: f32 = 1e-3;

/// A query as vectors.
pub(super) struct QueryVectors {
    /// The vector to search for.
    pub(super) sum: Embedding,
    /// The vector of each term, in their order.
    pub(super) terms: Vec<Embedding>,
    /// The indexed images in the query, which are left out of the hits.
    pub(super) excluded: Vec<ImageId>,
    /// The indexed image in the query, if there is one, all of it, with a positive weight.
    pub(super) same_as: Option<Original>,
}

/// The vector of a term, or what it is made from.
enum Part {
    Vector(Embedding),
    Text(String),
    Image(PreparedImage),
}

/// Returns the name of the stage that embeds a query of this kind.
fn embed_stage(kind: QueryKind) -> &'static str {
    match kind {
        QueryKind::Text => "embed text",
        QueryKind::Image => "embed image",
        QueryKind::Several => "embed terms",
    }
}

impl Search {
    /// Returns the record of the image whose id the query contains, from any store.
    async fn find_image(&self, collection: &CollectionName, id: &str) -> Result<ImageRecord, SearchError> {
        let unknown = || SearchError::UnknownImage { id: id.to_owned(), collection: collection.clone() };
        let parsed = id.parse::<ImageId>().map_err(|_| unknown())?;
        self.stores.find_record(collection, parsed).await?.ok_or_else(unknown)
    }

    /// Embeds the query. If it has several terms, the vector is the normalised sum of their weighted unit vectors. Beside
    /// texts, images weigh less, because their cosines are larger.
    pub(super) async fn embed(
        &self,
        query: QueryInput,
        collection: &CollectionName,
        model: (&EmbeddingModel, &Space),
    ) -> Result<QueryVectors, SearchError> {
        let span = traces::stage(embed_stage(query.kind()));
        span.wrap(self.embed_terms(query, collection, model)).await
    }

    async fn embed_terms(
        &self,
        query: QueryInput,
        collection: &CollectionName,
        (model, space): (&EmbeddingModel, &Space),
    ) -> Result<QueryVectors, SearchError> {
        let has_texts = query.terms.iter().any(|term| matches!(term.input, TermInput::Text(_)));
        let image_factor = if has_texts { self.calibration.image_factor(space) } else { 1.0 };
        let (mut likes, mut excluded, mut weights, mut parts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for Term { input, weight, .. } in query.terms {
            let is_text = matches!(input, TermInput::Text(_));
            let factor = if weight < 0.0 { NEGATIVE_FACTOR } else { 1.0 } * if is_text { 1.0 } else { image_factor };
            weights.push(weight * factor);
            parts.push(match input {
                TermInput::Text(text) => Part::Text(text),
                TermInput::Image(image) => {
                    excluded.extend(image.excluded);
                    let prepared = self.decoder.prepare(image, model.searches.preprocessing());
                    Part::Image(traces::stage("prepare").wrap(prepared).await?)
                }
                TermInput::Like(id) => {
                    let record = traces::stage("read records").wrap(self.find_image(collection, &id)).await?;
                    let vector = record.embedding.clone();
                    excluded.push(record.id);
                    likes.push((Original::new(record.payload), weight));
                    Part::Vector(vector)
                }
            });
        }
        let failed = |error| self.models.error(collection, &model.record, error);
        let terms = vectors(model, parts, query.language).await.map_err(failed)?;
        let sum = match &terms[..] {
            [one] => one.clone(),
            several => weighted_sum(several, &weights, space)?,
        };
        let same_as = match &likes[..] {
            [(original, weight)] if *weight > 0.0 => Some(original.clone()),
            _ => None,
        };
        Ok(QueryVectors { sum, terms, excluded, same_as })
    }

    /// Returns the cosines of each hit with each term of the query; none for a record that was deleted since the search,
    /// or whose store fails.
    pub(super) async fn term_scores(
        stores: &Stores,
        collection: &CollectionName,
        ids: &[ImageId],
        terms: &[Embedding],
    ) -> Vec<Vec<f32>> {
        let vectors = Self::vectors_of(stores, collection, ids).await;
        let scores = |id| match vectors.get(id) {
            Some(vector) => terms.iter().map(|term| term.cosine(vector)).collect(),
            None => Vec::new(),
        };
        ids.iter().map(scores).collect()
    }
}

/// Embeds the texts at the same time, and the images in one call.
async fn vectors(
    model: &EmbeddingModel,
    parts: Vec<Part>,
    language: Option<Language>,
) -> Result<Vec<Embedding>, EmbedError> {
    let images: Vec<PreparedImage> = parts
        .iter()
        .filter_map(|part| if let Part::Image(image) = part { Some(image.clone()) } else { None })
        .collect();
    let images = async {
        match &images[..] {
            [] => Ok(Vec::new()),
            [one] => model.searches.embed_image(one).await.map(|vector| vec![vector]),
            several => model.searches.embed_image_batch(several).await,
        }
    };
    let texts = join_all(parts.iter().map(|part| async move {
        match part {
            Part::Text(text) => Some(model.searches.embed_text_in(text.trim(), language).await),
            Part::Image(_) | Part::Vector(_) => None,
        }
    }));
    let (images, texts) = tokio::join!(images, texts);
    let mut images = images?.into_iter();
    let vectors = parts.into_iter().zip(texts).map(|(part, text)| match (part, text) {
        (Part::Vector(vector), _) => Ok(vector),
        (Part::Text(_), Some(vector)) => vector,
        (Part::Image(_), _) | (Part::Text(_), None) => images.next().ok_or(EmbedError::WrongCount { sent: 1, got: 0 }),
    });
    vectors.collect()
}

fn weighted_sum(vectors: &[Embedding], weights: &[f32], space: &Space) -> Result<Embedding, SearchError> {
    // Only the ratios count; a product with a tiny weight would be zero.
    let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    let mut sum = vec![0.0_f32; space.dimension];
    for (vector, weight) in vectors.iter().zip(weights) {
        sum.iter_mut().zip(vector.as_slice()).for_each(|(sum, number)| *sum += weight / largest * number);
    }
    let length = sum.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length < MIN_SUM {
        return Err(SearchError::Invalid {
            field: "negative",
            message: "has the same terms as `positive`, so nothing is left to search for".to_owned(),
        });
    }
    Ok(Embedding::normalised(sum, space.dimension).map_err(EmbedError::Invalid)?)
}
