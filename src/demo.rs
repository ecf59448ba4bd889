//! The demo images, which are part of the binary, and deterministic variations of them: any number of images to try the
//! service with.

use std::collections::BTreeMap;
use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use include_dir::{Dir, include_dir};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/demo");

/// A variation of an image cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create a variation of the image")]
pub struct VaryError(#[from] image::ImageError);

/// Returns the file name and the JPEG bytes of the 26 demo images, sorted by name. Their licences are in
/// `demo/NOTICE.md`.
pub fn images() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.files().filter_map(|file| {
        let name = file.path().file_name()?.to_str()?;
        name.strip_suffix(".jpg").map(|_| (name, file.contents()))
    })
}

/// Returns the known queries of the demo images (`demo/queries.json`), each with the names of the images that answer it.
pub fn queries() -> Vec<(String, Vec<String>)> {
    /// The groups of the file.
    #[derive(serde::Deserialize)]
    struct Known {
        queries: BTreeMap<String, Vec<String>>,
        hard: BTreeMap<String, Vec<String>>,
    }
    let file = FILES.get_file("queries.json").map_or(&[][..], include_dir::File::contents);
    serde_json::from_slice::<Known>(file)
        .map_or_else(|_| Vec::new(), |known| known.queries.into_iter().chain(known.hard).collect())
}

/// Returns the captions of the demo images (`demo/captions.json`).
pub fn captions() -> Vec<String> {
    /// An entry of the file.
    #[derive(serde::Deserialize)]
    struct Captioned {
        caption: String,
    }
    let file = FILES.get_file("captions.json").map_or(&[][..], include_dir::File::contents);
    let captions = serde_json::from_slice::<Vec<Captioned>>(file).unwrap_or_default();
    captions.into_iter().map(|captioned| captioned.caption).collect()
}

/// Returns the path and the JPEG bytes of image `n`, counted from 0. The first images are the demo images, sorted by
/// name; all others are variations of them.
///
/// # Errors
/// [`VaryError`], which the demo images never cause.
pub fn image(n: usize) -> Result<(String, Bytes), VaryError> {
    let (name, bytes) = images().nth(n % count()).unwrap_or_default();
    match n / count() {
        0 => Ok((name.to_owned(), Bytes::from_static(bytes))),
        // The key ends with the name of the image, so that known answers stay correct.
        round => Ok((format!("varied-{round:04}/{name}"), vary(bytes, n as u64)?)),
    }
}

/// Returns the number of demo images.
pub fn count() -> usize {
    images().count()
}

/// Returns a variation of an image as JPEG: cropped, tinted and, in about half of the cases, flipped. The same `n`
/// gives the same bytes.
///
/// # Errors
/// [`VaryError`] if the bytes are not an image.
pub fn vary(bytes: &[u8], n: u64) -> Result<Bytes, VaryError> {
    let mut random = Random(n);
    let image = image::load_from_memory(bytes)?;
    let (width, height) = (image.width(), image.height());
    let mut part = |whole: u32| {
        let kept = (whole * random.between(70, 95) / 100).max(1);
        (random.between(0, whole - kept), kept)
    };
    let ((x, kept_width), (y, kept_height)) = (part(width), part(height));
    let cropped = image.crop_imm(x, y, kept_width, kept_height);
    let turned = if random.between(0, 1) == 1 { cropped.fliph() } else { cropped };
    let mut pixels = turned.into_rgb8();
    let tint = [random.between(75, 125), random.between(75, 125), random.between(75, 125)];
    let tables = tint.map(|percent| std::array::from_fn::<u8, 256, _>(|value| tinted(value, percent)));
    for (at, channel) in pixels.iter_mut().enumerate() {
        *channel = tables[at % 3][usize::from(*channel)];
    }
    let mut jpeg = Cursor::new(Vec::new());
    pixels.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, 85))?;
    Ok(jpeg.into_inner().into())
}

fn tinted(value: usize, percent: u32) -> u8 {
    let tinted = value * percent as usize / 100;
    u8::try_from(tinted).unwrap_or(u8::MAX)
}

/// The random number generator `SplitMix64`. It is implemented here because a package may change its numbers with a
/// version.
struct Random(u64);

impl Random {
    /// Returns a number from `low` to `high`, both included.
    fn between(&mut self, low: u32, high: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let span = u64::from(high - low) + 1;
        low + u32::try_from((mixed ^ (mixed >> 31)) % span).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_binary_contains_26_images() {
        assert_eq!(count(), 26);
        assert!(images().all(|(_, bytes)| bytes.starts_with(&[0xFF, 0xD8])));
        assert!(images().map(|(name, _)| name).is_sorted());
    }

    #[test]
    fn variations_differ_and_are_deterministic() {
        let (_, cat) = images().find(|(name, _)| *name == "cat.jpg").unwrap();
        let made: HashSet<Bytes> = (0..4).map(|n| vary(cat, n).unwrap()).collect();
        assert_eq!(made.len(), 4);
        assert_eq!(vary(cat, 3).unwrap(), vary(cat, 3).unwrap());
        let (name, bytes) = image(26).unwrap();
        assert_eq!(name, "varied-0001/astronaut.jpg");
        assert_ne!(bytes, image(52).unwrap().1);
        image::load_from_memory(&bytes).unwrap();
    }
}
