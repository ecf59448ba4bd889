//! Prepared images as they travel: PNG in base64, inside a body of JSON. Lossless, so that `local` and `clip` of one
//! model are one space; the figures are in `zarf/adr/0004-images-on-the-wire.md`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::EmbedError;
use super::batch_size::BatchSize;
use super::http::NoAnswer;
use crate::domain::Embedding;
use crate::imaging::PreparedImage;

/// No request's body is longer, unless a single image is.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Requests of one call under way at once: one is encoded while another is answered.
const AT_ONCE: usize = 2;

/// How a service wants an image in JSON. The wrong form is refused by some and read as text by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `data:image/png;base64,…`
    DataUri,
    /// The base64 alone.
    Bare,
}

impl Form {
    fn prefix(self) -> &'static str {
        match self {
            Self::DataUri => "data:image/png;base64,",
            Self::Bare => "",
        }
    }

    /// An image as the text that stands for it in JSON.
    pub(super) fn text(self, image: &PreparedImage) -> Result<String, EmbedError> {
        let mut text = self.prefix().to_owned();
        STANDARD.encode_string(png(image)?, &mut text);
        Ok(text)
    }
}

/// The body `before`, the images as strings in a list, `after`; encoded off the async threads.
///
/// # Errors
/// [`EmbedError::Rejected`] where an image's bytes are not as many as its size says.
pub(super) async fn body(
    images: Vec<PreparedImage>,
    form: Form,
    before: String,
    after: &'static str,
) -> Result<Bytes, EmbedError> {
    let encode = move || {
        let mut body = before;
        body.reserve(images.iter().map(|image| longest(image.size)).sum());
        for (place, image) in images.iter().enumerate() {
            // Neither base64 nor the prefix has a character that JSON escapes.
            body.push_str(if place == 0 { "\"" } else { ",\"" });
            body.push_str(form.prefix());
            STANDARD.encode_string(png(image)?, &mut body);
            body.push('"');
        }
        body.push_str(after);
        Ok(Bytes::from(body))
    };
    let encoded = tokio::task::spawn_blocking(encode).await;
    encoded.map_err(|panic| EmbedError::Rejected(format!("its PNG encoder did not end: {panic}")))?
}

/// The image as a PNG.
fn png(image: &PreparedImage) -> Result<Vec<u8>, EmbedError> {
    let side = image.size as usize;
    if side == 0 || image.rgb.len() != side * side * 3 {
        let got = image.rgb.len();
        return Err(EmbedError::Rejected(format!("an image of {side} pixels a side with {got} bytes")));
    }
    let mut png = Vec::with_capacity(image.rgb.len() / 2);
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Paeth)
        .write_image(&image.rgb, image.size, image.size, ExtendedColorType::Rgb8)
        .map_err(|error| EmbedError::Rejected(format!("no PNG can be made of it: {error}")))?;
    Ok(png)
}

/// What an image's string cannot exceed: noise does not shrink, and base64 makes four bytes of three.
fn longest(size: u32) -> usize {
    let side = size as usize;
    let png = side * side * 3 + side * side / 8 + 1024;
    png.div_ceil(3) * 4 + 32
}

/// Images of this size that the byte cap leaves room for in one request.
fn room(size: u32) -> usize {
    (MAX_BYTES / longest(size)).max(1)
}

/// Asks for all, in as many requests as it takes, each as large as `batch` says when its turn comes; the answers in order.
///
/// # Errors
/// The first error of `ask`, which is to give one embedding per image.
pub(super) async fn in_requests<F, Fut>(
    images: &[PreparedImage],
    batch: &BatchSize,
    ask: F,
) -> Result<Vec<Embedding>, EmbedError>
where
    F: Fn(Vec<PreparedImage>) -> Fut + Send,
    Fut: Future<Output = Result<Vec<Embedding>, NoAnswer>> + Send,
{
    let room = room(images.iter().map(|image| image.size).max().unwrap_or(1));
    let mut rest = images;
    let requests = std::iter::from_fn(|| {
        let (now, later) = rest.split_at(batch.now().min(room).min(rest.len()));
        rest = later;
        (!now.is_empty()).then(|| now.to_vec())
    });
    let asked = requests.map(|images| {
        let (sent, asked) = (images.len(), ask(images));
        async move {
            let request = batch.begin(sent);
            let outcome = asked.await;
            request.ended(&outcome);
            outcome
        }
    });
    // `buffered` starves nobody here: there is no later stage, and the server works on regardless.
    let answers: Vec<Vec<Embedding>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

#[cfg(test)]
#[path = "wire_image_tests.rs"]
mod tests;
