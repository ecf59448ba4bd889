//! What a service elsewhere must have given, whatever it says: checked here for every adapter.

use std::sync::{Mutex, PoisonError};

use super::http::NoAnswer;
use super::wire_image::Form;
use super::{EmbedError, ImageEmbeddingProvider};
use crate::domain::Embedding;
use crate::domain::space::SAME_COSINE;
use crate::imaging::{PreparedImage, Preprocessing, Resize};

/// A vector as it comes. `null` is how JavaScript and orjson write a number that is not finite.
pub(super) type Numbers = Vec<Option<f32>>;

/// Bytes of one vector in JSON that are still believed: 8,192 numbers of 30 characters.
pub(super) const VECTOR_BYTES: usize = 256 * 1024;

/// How images are prepared for a service, as far as that is known: it may still be told by the service itself.
#[derive(Debug)]
pub(super) struct Square(Mutex<Preprocessing>);

impl Square {
    pub(super) fn new(size: u32, resize: Resize) -> Self {
        Self(Mutex::new(Preprocessing { size, resize }))
    }

    pub(super) fn set(&self, preprocessing: Preprocessing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = preprocessing;
    }

    pub(super) fn preprocessing(&self) -> Preprocessing {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses images that were prepared for another size: a service would resize them in its own way.
    pub(super) fn check(&self, images: &[PreparedImage]) -> Result<(), EmbedError> {
        let wanted = self.preprocessing().size;
        match images.iter().find(|image| image.size != wanted) {
            Some(image) => {
                let given = image.size;
                Err(EmbedError::Rejected(format!("an image of {given} pixels a side; the service takes {wanted}")))
            }
            None => Ok(()),
        }
    }
}

/// The vectors of one reply as embeddings: as many as were sent, all of one size, finite, not zero.
pub(super) fn embeddings(vectors: Vec<Numbers>, sent: usize) -> Result<Vec<Embedding>, EmbedError> {
    if vectors.len() != sent {
        return Err(EmbedError::WrongCount { sent, got: vectors.len() });
    }
    let expected = vectors.first().map_or(0, Vec::len);
    let plain = |vector: Numbers| vector.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect();
    vectors.into_iter().map(|vector| Ok(Embedding::normalised(plain(vector), expected)?)).collect()
}

/// The one embedding of a reply to one input.
pub(super) fn embedding(vectors: Vec<Numbers>) -> Result<Embedding, EmbedError> {
    let mut one = embeddings(vectors, 1)?;
    one.pop().ok_or(EmbedError::WrongCount { sent: 1, got: 0 })
}

/// Refuses a service that reads what stands for an image in JSON as words: different images get different vectors from
/// it, and no other probe would see it.
///
/// # Errors
/// [`EmbedError::ProbeFailed`]; or the provider's own, where the image itself gets no answer.
pub(super) async fn sees(provider: &dyn ImageEmbeddingProvider, form: Form) -> Result<(), EmbedError> {
    let size = provider.preprocessing().size;
    // Of one colour, so that its text is short.
    let image = PreparedImage { size, rgb: vec![128; size as usize * size as usize * 3].into() };
    let seen = provider.embed_image(&image).await?;
    // Who refuses so odd a text has answered the question by that.
    let Ok(read) = provider.embed_text(&form.text(&image)?).await else { return Ok(()) };
    if seen.dimension() == read.dimension() && seen.cosine(&read) >= SAME_COSINE {
        let what = "it reads an image's base64 as words; it does not look at images";
        return Err(EmbedError::ProbeFailed(what.to_owned()));
    }
    Ok(())
}

/// The embedding of a text by a service that may refuse what is longer than its model reads, and says so with whatever
/// status: then the text is cut.
///
/// # Errors
/// What `ask` said of the whole text, where shorter ones do not help.
pub(super) async fn cut_to_fit<'a, F, Fut>(text: &'a str, ask: F) -> Result<Embedding, EmbedError>
where
    F: Fn(&'a str) -> Fut + Send,
    Fut: Future<Output = Result<Vec<Numbers>, NoAnswer>> + Send,
{
    let mut first = None;
    for cut in cuts(text) {
        match ask(cut).await {
            Ok(vectors) => return embedding(vectors),
            Err(no) if no.status.is_some_and(|status| TOO_LONG.contains(&status.as_u16())) => {
                first.get_or_insert(no.error);
            }
            Err(no) => return Err(first.unwrap_or(no.error)),
        }
    }
    Err(first.unwrap_or_else(|| EmbedError::Rejected("there is no text".to_owned())))
}

/// What services answer to a text that is too long for their model: multi2vec 500, others as the input's fault.
const TOO_LONG: [u16; 4] = [400, 413, 422, 500];

/// Cuts of a text to ask with, one after the other, where a model may refuse what is longer than it reads: all of it, what
/// is likely to fit 77 tokens, what is sure to.
fn cuts(text: &str) -> impl Iterator<Item = &str> {
    const LIKELY_WORDS: usize = 48;
    const LIKELY: usize = 320;
    /// CLIP's tokens are a byte at least; two of its 77 are its own, and a few bytes more may come of lower case.
    const SURE: usize = 72;
    let likely = text.split_whitespace().nth(LIKELY_WORDS).map_or(text.len(), |word| {
        // Both are parts of one text.
        word.as_ptr().addr() - text.as_ptr().addr()
    });
    let ends = [text.len(), likely.min(LIKELY), SURE];
    let mut last = usize::MAX;
    ends.into_iter().filter_map(move |end| {
        let cut = text[..text.floor_char_boundary(end)].trim_end();
        let shorter = cut.len() < last;
        last = last.min(cut.len());
        shorter.then_some(cut)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::InvalidEmbedding;

    #[test]
    fn a_reply_is_as_many_vectors_of_one_size() {
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
    fn a_long_text_is_cut_to_what_is_likely_and_then_to_what_is_sure() {
        let all = |text: &'static str| cuts(text).collect::<Vec<_>>();
        assert_eq!(all("a cat"), ["a cat"]);
        assert_eq!(all(""), [""]);
        let words: &'static str = Box::leak("cat ".repeat(60).into_boxed_str());
        assert_eq!(all(words).iter().map(|cut| cut.len()).collect::<Vec<_>>(), [239, 191, 71]);
        let dense: &'static str = Box::leak("日".repeat(500).into_boxed_str());
        assert_eq!(all(dense).iter().map(|cut| cut.len()).collect::<Vec<_>>(), [1500, 318, 72]);
    }
}
