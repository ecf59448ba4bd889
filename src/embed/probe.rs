//! A few built-in images and texts that every provider must embed before it is used. They show whether it uses its
//! input at all, and their vectors identify its space.

use bytes::Bytes;

use super::{EmbedError, ImageEmbeddingProvider};
use crate::domain::space::MIN_SAME_COSINE;
use crate::domain::{Embedding, Probe, Space};
use crate::imaging::PreparedImage;

/// Names and texts of the probes. Never change one: they are stored with every collection.
const TEXTS: [(&str, &str); 3] = [
    ("text:cat", "a photo of a cat"),
    ("text:car", "a red car in the snow"),
    ("text:beach", "two people walking on a beach at sunset"),
];

/// Texts that describe two of the images. They are not part of the space.
const DESCRIPTIONS: [(&str, &str); 2] =
    [("image:checkers", "a black and white checkerboard"), ("image:disc", "a red ball")];

/// Maximum number of calls of the provider in one probe, including the calls that only an adapter makes.
pub(super) const MAX_PROBE_CALLS: u32 = 10;

/// Embeds the probes with `provider` and returns the space of its vectors. Uses only the `embed_*` calls and never
/// `space`, which calls this function. `dimension` is the expected size of the vectors, if it is known.
///
/// # Errors
/// [`EmbedError::ProbeFailed`] with the observation, if the provider ignores its input, mixes up a batch, or returns
/// invalid vectors or vectors of another size; the provider's own error if it does not answer.
pub async fn probe_space(
    provider: &dyn ImageEmbeddingProvider,
    model: &str,
    dimension: Option<usize>,
) -> Result<Space, EmbedError> {
    let named = images(provider.preprocessing().size);
    let images: Vec<_> = named.iter().map(|(_, image)| image.clone()).collect();
    let batch = provider.embed_image_batch(&images).await.map_err(as_probe_failure)?;
    if batch.len() != images.len() {
        return Err(EmbedError::ProbeFailed(format!(
            "it returned {} vectors for {} images",
            batch.len(),
            images.len()
        )));
    }
    let alone = provider.embed_image(&images[1]).await.map_err(as_probe_failure)?;
    check_same(named[1].0, &alone, &batch[1], "alone and in a batch")?;
    let names = named.iter().map(|(name, _)| *name);
    let mut probes: Vec<(&str, Embedding)> = names.zip(batch).collect();
    check_different(&probes)?;

    let texts = texts(provider).await?;
    check_different(&texts)?;
    if !texts.is_empty()
        && let Some(mismatch) = find_mismatch(provider, &probes).await?
    {
        tracing::warn!(model, "{mismatch}; text searches may return poor results");
    }
    probes.extend(texts);

    let size = dimension.unwrap_or_else(|| probes[0].1.dimension());
    check_size(size, &probes)?;
    Ok(space(provider, model, size, probes))
}

fn check_size<'a>(
    size: usize,
    probes: impl IntoIterator<Item = &'a (&'static str, Embedding)>,
) -> Result<(), EmbedError> {
    match probes.into_iter().find(|(_, vector)| vector.dimension() != size) {
        Some((name, odd)) => {
            let got = odd.dimension();
            Err(EmbedError::ProbeFailed(format!("{name} has {got} numbers; expected {size}")))
        }
        None => Ok(()),
    }
}

fn space(
    provider: &dyn ImageEmbeddingProvider,
    model: &str,
    dimension: usize,
    probes: Vec<(&'static str, Embedding)>,
) -> Space {
    let probe = |(name, vector): (&str, Embedding)| Probe { name: name.to_owned(), vector: vector.as_slice().to_vec() };
    let (preprocessing, probes) = (provider.preprocessing().to_string(), probes.into_iter().map(probe).collect());
    Space { model: model.to_owned(), dimension, preprocessing, probes }
}

/// Like [`probe_space`], for a provider that makes captions of images. Its space has only the probes of texts, because the
/// caption of an image may differ between machines or days. The provider must still distinguish images.
///
/// # Errors
/// As [`probe_space`].
pub async fn probe_caption_space(provider: &dyn ImageEmbeddingProvider, model: &str) -> Result<Space, EmbedError> {
    let space = probe_text_space(provider, model).await?;
    let [one, _, other] = images(provider.preprocessing().size);
    let vectors = provider.embed_image_batch(&[one.1, other.1]).await.map_err(as_probe_failure)?;
    if vectors.len() != 2 {
        return Err(EmbedError::ProbeFailed(format!("it returned {} vectors for 2 images", vectors.len())));
    }
    let images: Vec<_> = [one.0, other.0].into_iter().zip(vectors).collect();
    check_different(&images)?;
    check_size(space.dimension, &images)?;
    Ok(space)
}

/// Like [`probe_caption_space`], without images, because captions take a long time.
///
/// # Errors
/// As [`probe_space`].
pub(super) async fn probe_text_space(provider: &dyn ImageEmbeddingProvider, model: &str) -> Result<Space, EmbedError> {
    let texts = texts(provider).await?;
    check_different(&texts)?;
    let Some((_, first)) = texts.first() else { return Err(EmbedError::Unsupported) };
    let size = first.dimension();
    check_size(size, &texts)?;
    Ok(space(provider, model, size, texts))
}

/// Embeds the texts. Returns an empty list for a provider without a text tower.
async fn texts(provider: &dyn ImageEmbeddingProvider) -> Result<Vec<(&'static str, Embedding)>, EmbedError> {
    let mut vectors = Vec::with_capacity(TEXTS.len());
    for (name, text) in TEXTS {
        match provider.embed_text(text).await {
            Ok(vector) => vectors.push((name, vector)),
            Err(EmbedError::Unsupported) => return Ok(Vec::new()),
            Err(error) => return Err(as_probe_failure(error)),
        }
    }
    let again = provider.embed_text(TEXTS[0].1).await.map_err(as_probe_failure)?;
    check_same(TEXTS[0].0, &again, &vectors[0].1, "in the first and the second call")?;
    Ok(vectors)
}

/// Returns a warning if a text about one image is not nearer to it than a text about another image. Small models may
/// fail this check and still be useful, so it never refuses a model.
async fn find_mismatch(
    provider: &dyn ImageEmbeddingProvider,
    images: &[(&str, Embedding)],
) -> Result<Option<String>, EmbedError> {
    let mut texts = Vec::with_capacity(DESCRIPTIONS.len());
    for (image, text) in DESCRIPTIONS {
        texts.push((image, text, provider.embed_text(text).await.map_err(as_probe_failure)?));
    }
    for (name, own, near) in &texts {
        let Some((_, image)) = images.iter().find(|(image, _)| image == name) else { continue };
        for (_, other, far) in texts.iter().filter(|(other, ..)| other != name) {
            let (near, far) = (image.cosine(near), image.cosine(far));
            if near <= far {
                return Ok(Some(format!(
                    "{name} is not nearer to \"{own}\" ({near:.4}) than to \"{other}\" ({far:.4})"
                )));
            }
        }
    }
    Ok(None)
}

fn check_same(name: &str, one: &Embedding, other: &Embedding, when: &str) -> Result<(), EmbedError> {
    let cosine = one.cosine(other);
    if one.dimension() == other.dimension() && cosine >= MIN_SAME_COSINE {
        return Ok(());
    }
    Err(EmbedError::ProbeFailed(format!(
        "{name} got different vectors {when}: their cosine is {cosine:.4}, and must be at least {MIN_SAME_COSINE}"
    )))
}

fn check_different(probes: &[(&str, Embedding)]) -> Result<(), EmbedError> {
    for (place, (name, vector)) in probes.iter().enumerate() {
        for (other_name, other) in &probes[..place] {
            if vector.cosine(other) >= MIN_SAME_COSINE {
                return Err(EmbedError::ProbeFailed(format!("{other_name} and {name} got the same vector")));
            }
        }
    }
    Ok(())
}

/// Turns an invalid reply into a failed probe. An outage stays an outage.
fn as_probe_failure(error: EmbedError) -> EmbedError {
    match error {
        EmbedError::Invalid(_) | EmbedError::WrongCount { .. } | EmbedError::Rejected(_) => {
            EmbedError::ProbeFailed(error.to_string())
        }
        other => other,
    }
}

/// Draws the images. Uses integers only, so that they are the same on every machine. Never change one.
fn images(size: u32) -> [(&'static str, PreparedImage); 3] {
    let draw = |pixel: &dyn Fn(u32, u32) -> [u8; 3]| {
        let places = (0..size).flat_map(|y| (0..size).map(move |x| (x, y)));
        let rgb = places.flat_map(|(x, y)| pixel(x * 256 / size, y * 256 / size)).collect::<Vec<u8>>();
        PreparedImage { size, rgb: Bytes::from(rgb) }
    };
    let byte = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
    let gradient = draw(&|x, y| [byte(x), byte(y), byte(255 - u32::midpoint(x, y))]);
    let checkers = draw(&|x, y| if (x / 32 + y / 32) % 2 == 0 { [240; 3] } else { [15; 3] });
    let disc = draw(&|x, y| {
        let (dx, dy) = (x.abs_diff(128), y.abs_diff(128));
        if dx * dx + dy * dy < 80 * 80 { [220, 40, 30] } else { [40, 90, 200] }
    });
    [("image:gradient", gradient), ("image:checkers", checkers), ("image:disc", disc)]
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
