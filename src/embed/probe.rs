//! A few built-in images and texts, put to every provider before it is trusted: they show whether it looks at
//! its input at all, and their vectors are what tells one space from another.

use bytes::Bytes;

use super::{EmbedError, ImageEmbeddingProvider};
use crate::domain::space::SAME_COSINE;
use crate::domain::{Embedding, Probe, Space};
use crate::imaging::PreparedImage;

/// Names and texts. Never change one: they are stored with every collection.
const TEXTS: [(&str, &str); 3] = [
    ("text:cat", "a photo of a cat"),
    ("text:car", "a red car in the snow"),
    ("text:beach", "two people walking on a beach at sunset"),
];

/// Texts about two of the images; they are no part of the space.
const ABOUT: [(&str, &str); 2] = [("image:checkers", "a black and white checkerboard"), ("image:disc", "a red ball")];

/// Calls of the provider in one probe, with what an adapter asks besides.
pub(super) const CALLS: u32 = 10;

/// Puts the probes to `provider` by its `embed_*` calls alone (never by `space`, which calls this) and gives the
/// space of its vectors. `dimension` is what the vectors should have, where that is known beforehand.
///
/// # Errors
/// [`EmbedError::ProbeFailed`], saying what was seen, where the provider ignores its input, mixes up a batch, or
/// answers with something that is no embedding of the size it should have; its own error where it does not answer.
pub async fn space_of(
    provider: &dyn ImageEmbeddingProvider,
    model: &str,
    dimension: Option<usize>,
) -> Result<Space, EmbedError> {
    let named = images(provider.preprocessing().size);
    let images: Vec<_> = named.iter().map(|(_, image)| image.clone()).collect();
    let batch = provider.embed_image_batch(&images).await.map_err(seen)?;
    if batch.len() != images.len() {
        return Err(EmbedError::ProbeFailed(format!("{} vectors for {} images", batch.len(), images.len())));
    }
    let alone = provider.embed_image(&images[1]).await.map_err(seen)?;
    same(named[1].0, &alone, &batch[1], "alone and in a batch")?;
    let names = named.iter().map(|(name, _)| *name);
    let mut probes: Vec<(&str, Embedding)> = names.zip(batch).collect();
    different(&probes)?;

    let texts = texts(provider).await?;
    different(&texts)?;
    if !texts.is_empty()
        && let Some(suspicion) = suspicion(provider, &probes).await?
    {
        tracing::warn!(model, "{suspicion}; searches by words may find little");
    }
    probes.extend(texts);

    let size = dimension.unwrap_or_else(|| probes[0].1.dimension());
    of_size(size, &probes)?;
    Ok(space(provider, model, size, probes))
}

fn of_size<'a>(size: usize, probes: impl IntoIterator<Item = &'a (&'static str, Embedding)>) -> Result<(), EmbedError> {
    match probes.into_iter().find(|(_, vector)| vector.dimension() != size) {
        Some((name, odd)) => {
            let got = odd.dimension();
            Err(EmbedError::ProbeFailed(format!("{name} has {got} numbers where {size} were expected")))
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

/// The same for a provider that puts images into words first: its space is its texts' alone, since a caption may turn out
/// differently on another machine, or from one day to the next. Its images must be told apart all the same.
///
/// # Errors
/// As [`space_of`].
pub async fn space_of_captions(provider: &dyn ImageEmbeddingProvider, model: &str) -> Result<Space, EmbedError> {
    let space = space_of_texts(provider, model).await?;
    let [one, _, other] = images(provider.preprocessing().size);
    let vectors = provider.embed_image_batch(&[one.1, other.1]).await.map_err(seen)?;
    if vectors.len() != 2 {
        return Err(EmbedError::ProbeFailed(format!("{} vectors for 2 images", vectors.len())));
    }
    let images: Vec<_> = [one.0, other.0].into_iter().zip(vectors).collect();
    different(&images)?;
    of_size(space.dimension, &images)?;
    Ok(space)
}

/// The same without the images, which take a captioner a long time.
///
/// # Errors
/// As [`space_of`].
pub(super) async fn space_of_texts(provider: &dyn ImageEmbeddingProvider, model: &str) -> Result<Space, EmbedError> {
    let texts = texts(provider).await?;
    different(&texts)?;
    let Some((_, first)) = texts.first() else { return Err(EmbedError::Unsupported) };
    let size = first.dimension();
    of_size(size, &texts)?;
    Ok(space(provider, model, size, texts))
}

/// The texts' vectors; none for a provider without a text tower.
async fn texts(provider: &dyn ImageEmbeddingProvider) -> Result<Vec<(&'static str, Embedding)>, EmbedError> {
    let mut vectors = Vec::with_capacity(TEXTS.len());
    for (name, text) in TEXTS {
        match provider.embed_text(text).await {
            Ok(vector) => vectors.push((name, vector)),
            Err(EmbedError::Unsupported) => return Ok(Vec::new()),
            Err(error) => return Err(seen(error)),
        }
    }
    let again = provider.embed_text(TEXTS[0].1).await.map_err(seen)?;
    same(TEXTS[0].0, &again, &vectors[0].1, "the first and the second time")?;
    Ok(vectors)
}

/// What is odd about texts beside images, if anything: a text about one image should be nearer to it than a text
/// about another. Small models may fail it and still be of use, so that it refuses none.
async fn suspicion(
    provider: &dyn ImageEmbeddingProvider,
    images: &[(&str, Embedding)],
) -> Result<Option<String>, EmbedError> {
    let mut texts = Vec::with_capacity(ABOUT.len());
    for (image, text) in ABOUT {
        texts.push((image, text, provider.embed_text(text).await.map_err(seen)?));
    }
    for (name, own, near) in &texts {
        let Some((_, image)) = images.iter().find(|(image, _)| image == name) else { continue };
        for (_, other, far) in texts.iter().filter(|(other, ..)| other != name) {
            let (near, far) = (image.cosine(near), image.cosine(far));
            if near <= far {
                return Ok(Some(format!(
                    "{name} is no nearer to \"{own}\" ({near:.4}) than to \"{other}\" ({far:.4})"
                )));
            }
        }
    }
    Ok(None)
}

fn same(name: &str, one: &Embedding, other: &Embedding, when: &str) -> Result<(), EmbedError> {
    let cosine = one.cosine(other);
    if one.dimension() == other.dimension() && cosine >= SAME_COSINE {
        return Ok(());
    }
    Err(EmbedError::ProbeFailed(format!("{name} got two vectors, {when}, with a cosine of only {cosine:.4}")))
}

fn different(probes: &[(&str, Embedding)]) -> Result<(), EmbedError> {
    for (place, (name, vector)) in probes.iter().enumerate() {
        for (other_name, other) in &probes[..place] {
            if vector.cosine(other) >= SAME_COSINE {
                return Err(EmbedError::ProbeFailed(format!("{other_name} and {name} got the same vector")));
            }
        }
    }
    Ok(())
}

/// An answer that is no embedding is a failed probe; a provider that is down is still a provider that is down.
fn seen(error: EmbedError) -> EmbedError {
    match error {
        EmbedError::Invalid(_) | EmbedError::WrongCount { .. } | EmbedError::Rejected(_) => {
            EmbedError::ProbeFailed(error.to_string())
        }
        other => other,
    }
}

/// The images, drawn in whole numbers so that they are the same on every machine. Never change one.
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
