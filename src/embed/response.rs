//! Checks of the replies of remote services, common to all adapters.

use std::sync::Mutex;

use super::service::RequestError;
use super::wire_image::ImageEncoding;
use super::{EmbedError, ImageEmbeddingProvider};
use crate::domain::Embedding;
use crate::domain::space::MIN_SAME_COSINE;
use crate::imaging::{PreparedImage, Preprocessing};
use crate::lock::lock;

/// A vector as received. JavaScript and orjson write a number that is not finite as `null`.
pub(super) type Numbers = Vec<Option<f32>>;

/// Maximum bytes of one vector in JSON: 8,192 numbers of 30 characters.
pub(super) const MAX_VECTOR_BYTES: usize = 256 * 1024;

/// How images are prepared for a service. The service itself may report it later.
#[derive(Debug)]
pub(super) struct SharedPreprocessing(Mutex<Preprocessing>);

impl SharedPreprocessing {
    pub(super) fn new(preprocessing: Preprocessing) -> Self {
        Self(Mutex::new(preprocessing))
    }

    pub(super) fn set(&self, preprocessing: Preprocessing) {
        *lock(&self.0) = preprocessing;
    }

    pub(super) fn get(&self) -> Preprocessing {
        *lock(&self.0)
    }

    /// Refuses images that were prepared for another size, because a service would resize them in its own way.
    pub(super) fn check(&self, images: &[PreparedImage]) -> Result<(), EmbedError> {
        let wanted = self.get().size;
        match images.iter().find(|image| image.size != wanted) {
            Some(image) => {
                let given = image.size;
                Err(EmbedError::Rejected(format!(
                    "the image has {given} x {given} pixels; the service takes {wanted} x {wanted}"
                )))
            }
            None => Ok(()),
        }
    }
}

/// Converts the vectors of one reply. Their number must be `sent`, and they must be finite, not zero and of one size.
pub(super) fn embeddings(vectors: Vec<Numbers>, sent: usize) -> Result<Vec<Embedding>, EmbedError> {
    if vectors.len() != sent {
        return Err(EmbedError::WrongCount { sent, got: vectors.len() });
    }
    let expected = vectors.first().map_or(0, Vec::len);
    let with_nan = |vector: Numbers| vector.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect();
    vectors.into_iter().map(|vector| Ok(Embedding::normalised(with_nan(vector), expected)?)).collect()
}

/// Converts the vector of a reply to one input.
pub(super) fn embedding(vectors: Vec<Numbers>) -> Result<Embedding, EmbedError> {
    let mut one = embeddings(vectors, 1)?;
    one.pop().ok_or(EmbedError::WrongCount { sent: 1, got: 0 })
}

/// Refuses a service that embeds the base64 of an image as text. Different images get different vectors from it, so no
/// other probe detects this.
///
/// # Errors
/// [`EmbedError::ProbeFailed`], or the provider's own error if it cannot embed the image.
pub(super) async fn check_reads_images(
    provider: &dyn ImageEmbeddingProvider,
    encoding: ImageEncoding,
) -> Result<(), EmbedError> {
    let size = provider.preprocessing().size;
    // An image of one colour has a short base64 text.
    let image = PreparedImage { size, rgb: vec![128; size as usize * size as usize * 3].into() };
    let of_image = provider.embed_image(&image).await?;
    // A service that refuses this text does not read images as text.
    let Ok(of_text) = provider.embed_text(&encoding.text(&image)?).await else { return Ok(()) };
    if of_image.dimension() == of_text.dimension() && of_image.cosine(&of_text) >= MIN_SAME_COSINE {
        let what = "the service embeds the base64 of an image as text; it does not look at images";
        return Err(EmbedError::ProbeFailed(what.to_owned()));
    }
    Ok(())
}

/// Embeds a text with a service that may refuse texts that are too long for its model. Then shorter parts of the text
/// are tried.
///
/// # Errors
/// The error of `ask` for the whole text, if shorter texts fail too.
pub(super) async fn embed_shortened<'a, F, Fut>(text: &'a str, ask: F) -> Result<Embedding, EmbedError>
where
    F: Fn(&'a str) -> Fut + Send,
    Fut: Future<Output = Result<Vec<Numbers>, RequestError>> + Send,
{
    let mut first = None;
    for candidate in candidates(text) {
        match ask(candidate).await {
            Ok(vectors) => return embedding(vectors),
            Err(failure) if failure.status.is_some_and(|status| TOO_LONG_STATUSES.contains(&status.as_u16())) => {
                first.get_or_insert(failure.error);
            }
            Err(failure) => return Err(first.unwrap_or(failure.error)),
        }
    }
    Err(first.unwrap_or_else(|| EmbedError::Rejected("the text is empty".to_owned())))
}

/// Statuses for a text that is too long for the model: 500 from multi2vec, a client error from others.
const TOO_LONG_STATUSES: [u16; 4] = [400, 413, 422, 500];

/// Returns the parts of a text to try, one after the other: the whole text, a part that probably has at most 77 tokens,
/// and a part that certainly has.
fn candidates(text: &str) -> impl Iterator<Item = &str> {
    const LIKELY_WORDS: usize = 48;
    const LIKELY_BYTES: usize = 320;
    /// A token of CLIP has at least one byte. Two of the 77 tokens are special, and lower case may need a few more
    /// bytes.
    const SAFE_BYTES: usize = 72;
    let likely_end = text.split_whitespace().nth(LIKELY_WORDS).map_or(text.len(), |word| {
        // `word` is a slice of `text`.
        word.as_ptr().addr() - text.as_ptr().addr()
    });
    let ends = [text.len(), likely_end.min(LIKELY_BYTES), SAFE_BYTES];
    let mut last = usize::MAX;
    ends.into_iter().filter_map(move |end| {
        let candidate = text[..text.floor_char_boundary(end)].trim_end();
        let shorter = candidate.len() < last;
        last = last.min(candidate.len());
        shorter.then_some(candidate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::InvalidEmbedding;

    #[test]
    fn a_reply_must_have_one_vector_per_input_and_one_size() {
        let vector = |numbers: &[f32]| numbers.iter().copied().map(Some).collect::<Numbers>();
        let good = embeddings(vec![vector(&[3.0, 4.0]), vector(&[0.0, 2.0])], 2).unwrap();
        assert_eq!(good[0].as_slice(), [0.6, 0.8]);
        assert_eq!(embeddings(vec![], 0).unwrap(), []);
        let one = || vec![vector(&[1.0, 0.0])];
        assert_eq!(embeddings(one(), 2), Err(EmbedError::WrongCount { sent: 2, got: 1 }));
        assert_eq!(embedding([one(), one()].concat()), Err(EmbedError::WrongCount { sent: 1, got: 2 }));
        let wrong = |expected, actual| Err(EmbedError::Invalid(InvalidEmbedding::WrongSize { expected, actual }));
        assert_eq!(embeddings(vec![vector(&[1.0]), vector(&[1.0, 2.0])], 2), wrong(1, 2));
        let invalid = |numbers: Numbers| match embedding(vec![numbers]) {
            Err(EmbedError::Invalid(invalid)) => invalid,
            other => panic!("{other:?}"),
        };
        assert_eq!(invalid(vec![Some(1.0), None]), InvalidEmbedding::NotFinite(1));
        assert_eq!(invalid(vec![]), InvalidEmbedding::Zero);
        assert_eq!(invalid(vec![Some(0.0)]), InvalidEmbedding::Zero);
    }

    #[test]
    fn a_long_text_is_cut_to_the_likely_and_then_to_the_safe_length() {
        let all = |text: &'static str| candidates(text).collect::<Vec<_>>();
        assert_eq!(all("a cat"), ["a cat"]);
        assert_eq!(all(""), [""]);
        let words: &'static str = Box::leak("cat ".repeat(60).into_boxed_str());
        assert_eq!(all(words).iter().map(|candidate| candidate.len()).collect::<Vec<_>>(), [239, 191, 71]);
        let dense: &'static str = Box::leak("日".repeat(500).into_boxed_str());
        assert_eq!(all(dense).iter().map(|candidate| candidate.len()).collect::<Vec<_>>(), [1500, 318, 72]);
    }
}
