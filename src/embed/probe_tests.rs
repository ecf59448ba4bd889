use std::sync::Arc;

use async_trait::async_trait;

use super::*;
use crate::imaging::Preprocessing;

/// A provider whose vectors the test computes from the bytes of an image or from a text.
#[derive(Clone, Copy)]
struct Fake {
    image: fn(&PreparedImage) -> Vec<f32>,
    text: fn(&str) -> Result<Vec<f32>, EmbedError>,
    batch: fn(Vec<Embedding>) -> Vec<Embedding>,
}

/// Uses its input, as a model does.
const CORRECT: Fake = Fake {
    image: |image| vec![image.rgb[0].into(), image.rgb[96].into(), image.rgb[image.rgb.len() / 2].into(), 9.0],
    text: |text| Ok(text.bytes().skip(8).take(4).map(|byte| f32::from(byte) - 100.0).collect()),
    batch: |batch| batch,
};

fn embedding(raw: Vec<f32>) -> Result<Embedding, EmbedError> {
    let size = raw.len();
    Ok(Embedding::normalised(raw, size)?)
}

#[async_trait]
impl ImageEmbeddingProvider for Fake {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::crop(64)
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        probe_space(self, "fake", Some(4)).await.map(Arc::new)
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        let vectors = images.iter().map(|image| embedding((self.image)(image))).collect::<Result<_, _>>()?;
        Ok(if images.len() == 1 { vectors } else { (self.batch)(vectors) })
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        embedding((self.text)(text)?)
    }
}

async fn refusal(fake: Fake) -> String {
    match fake.space().await {
        Err(EmbedError::ProbeFailed(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_correct_provider_has_a_space() {
    let space = CORRECT.space().await.unwrap();
    assert_eq!(space.name(), "fake/4/crop-64-bicubic");
    assert_eq!(space.probes.len(), 6);
    space.admits(&CORRECT.space().await.unwrap()).unwrap();
}

#[tokio::test]
async fn a_provider_without_texts_has_a_space() {
    let fake = Fake { text: |_| Err(EmbedError::Unsupported), ..CORRECT };
    assert_eq!(fake.space().await.unwrap().probes.len(), 3);
}

#[tokio::test]
async fn a_provider_that_ignores_its_input_fails() {
    let same_images = Fake { image: |_| vec![1.0, 2.0, 3.0, 4.0], ..CORRECT };
    assert!(refusal(same_images).await.contains("image:gradient and image:checkers got the same vector"));
    let same_texts = Fake { text: |_| Ok(vec![1.0, 2.0, 3.0, 4.0]), ..CORRECT };
    assert!(refusal(same_texts).await.contains("text:cat and text:car got the same vector"));
}

#[tokio::test]
async fn a_provider_that_mixes_up_a_batch_fails() {
    let rotate = |mut batch: Vec<Embedding>| {
        batch.rotate_left(1);
        batch
    };
    assert!(refusal(Fake { batch: rotate, ..CORRECT }).await.contains("alone and in a batch"));
    let drop_first = |batch: Vec<Embedding>| batch[1..].to_vec();
    assert!(refusal(Fake { batch: drop_first, ..CORRECT }).await.contains("2 vectors for 3 images"));
}

#[tokio::test]
async fn a_provider_with_invalid_vectors_fails() {
    assert!(refusal(Fake { image: |_| vec![0.0; 4], ..CORRECT }).await.contains("all zeros"));
    assert!(refusal(Fake { text: |_| Ok(vec![f32::NAN; 4]), ..CORRECT }).await.contains("not finite"));
    let short = |text: &str| Ok(text.bytes().skip(8).take(2).map(|byte| f32::from(byte) - 100.0).collect());
    assert!(refusal(Fake { text: short, ..CORRECT }).await.contains("text:cat has 2 numbers; expected 4"));
}

#[tokio::test]
async fn a_space_of_captions_has_only_texts_but_images_must_differ() {
    let space = probe_caption_space(&CORRECT, "captions").await.unwrap();
    assert_eq!(space.name(), "captions/4/crop-64-bicubic");
    assert!(space.probes.len() == 3 && space.probes.iter().all(|probe| probe.name.starts_with("text:")));
    let refused = async |fake: Fake| match probe_caption_space(&fake, "captions").await {
        Err(EmbedError::ProbeFailed(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let same_images = Fake { image: |_| vec![1.0, 2.0, 3.0, 4.0], ..CORRECT };
    assert!(refused(same_images).await.contains("image:gradient and image:disc got the same vector"));
    let same_texts = Fake { text: |_| Ok(vec![1.0, 2.0, 3.0, 4.0]), ..CORRECT };
    assert!(refused(same_texts).await.contains("text:cat and text:car got the same vector"));
    let short = Fake { image: |image| vec![image.rgb[0].into(), image.rgb[96].into(), 9.0], ..CORRECT };
    assert!(refused(short).await.contains("image:gradient has 3 numbers; expected 4"));
    let drop_first = Fake { batch: |batch| batch[1..].to_vec(), ..CORRECT };
    assert!(refused(drop_first).await.contains("1 vectors for 2 images"));
    let without_texts = Fake { text: |_| Err(EmbedError::Unsupported), ..CORRECT };
    assert_eq!(probe_caption_space(&without_texts, "captions").await, Err(EmbedError::Unsupported));
}

#[tokio::test]
async fn a_text_that_fits_another_image_better_gives_a_warning_only() {
    let warning = |fake: Fake| async move {
        let images = images(64);
        let vectors = images.each_ref().map(|(name, image)| (*name, embedding((fake.image)(image)).unwrap()));
        find_mismatch(&fake, &vectors).await.unwrap()
    };
    // The disc is red at its centre and blue at its corner; the checkers have the same grey at both places.
    let matching = Fake {
        image: |image| [0, image.rgb.len() / 2 + 96].map(|at| f32::from(image.rgb[at]) + 1.0).into(),
        text: |text| Ok(if text.contains("red ball") { vec![41.0, 221.0] } else { vec![1.0, 1.0] }),
        ..CORRECT
    };
    assert_eq!(warning(matching).await, None);
    let mismatched = Fake {
        text: |text| Ok(if text.contains("checkerboard") { vec![41.0, 221.0] } else { vec![1.0, 1.0] }),
        ..matching
    };
    let warning = warning(mismatched).await.unwrap();
    assert!(warning.starts_with("image:checkers is not nearer to \"a black and white checkerboard\" (0."), "{warning}");
    CORRECT.space().await.expect("a mismatch does not refuse a model");
}

#[tokio::test]
async fn the_built_in_model_gives_no_warning() {
    let local = crate::embed::local::LocalProvider::start(std::num::NonZeroUsize::MIN).unwrap();
    let vectors = images(local.preprocessing().size);
    let images = vectors.each_ref().map(|(_, image)| image.clone());
    let vectors = vectors.iter().map(|(name, _)| *name).zip(local.embed_image_batch(&images).await.unwrap());
    assert_eq!(find_mismatch(&local, &vectors.collect::<Vec<_>>()).await.unwrap(), None);
}

#[test]
fn the_images_never_change() {
    use sha2::{Digest, Sha256};
    let sums = images(260).map(|(_, image)| hex::encode(&Sha256::digest(&image.rgb)[..8]));
    assert_eq!(sums, ["93ec33823ca8b479", "e8cff87b68aca35a", "d18b732da1e2f0b7"]);
}
