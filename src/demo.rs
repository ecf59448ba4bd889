//! The demo images, which travel inside the binary, and deterministic variations of them: images to try the service
//! with, in any number and from any folder.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use include_dir::{Dir, include_dir};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/demo");

/// A image that cannot be varied.
#[derive(Debug, thiserror::Error)]
#[error("the image cannot be varied")]
pub struct VaryError(#[from] image::ImageError);

/// The 26 demo images by file name. Their licences are in `demo/NOTICE.md`.
pub fn images() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.files().filter_map(|file| {
        let name = file.path().file_name()?.to_str()?;
        name.strip_suffix(".jpg").map(|_| (name, file.contents()))
    })
}

/// The `n`th image: its path, and its bytes. The images come first, in order of their names; beyond them their
/// variations, without end.
///
/// # Errors
/// [`VaryError`], which the images never cause.
pub fn image(n: usize) -> Result<(String, Bytes), VaryError> {
    let (name, bytes) = images().nth(n % count()).unwrap_or_default();
    match n / count() {
        0 => Ok((name.to_owned(), Bytes::from_static(bytes))),
        // The name stays the end of the key, so that known answers stay right ones.
        round => Ok((format!("varied-{round:04}/{name}"), vary(bytes, n as u64)?)),
    }
}

/// How many images there are.
pub fn count() -> usize {
    images().count()
}

/// A variation of a image, as JPEG: cropped, tinted, every other one flipped. The same `n` makes the same bytes.
///
/// # Errors
/// [`VaryError`] where the bytes are no image.
pub fn vary(bytes: &[u8], n: u64) -> Result<Bytes, VaryError> {
    let mut dice = Dice(n);
    let image = image::load_from_memory(bytes)?;
    let (width, height) = (image.width(), image.height());
    let mut part = |whole: u32| {
        let kept = (whole * dice.between(70, 95) / 100).max(1);
        (dice.between(0, whole - kept), kept)
    };
    let ((x, kept_width), (y, kept_height)) = (part(width), part(height));
    let cropped = image.crop_imm(x, y, kept_width, kept_height);
    let turned = if dice.between(0, 1) == 1 { cropped.fliph() } else { cropped };
    let mut pixels = turned.into_rgb8();
    let tint = [dice.between(75, 125), dice.between(75, 125), dice.between(75, 125)];
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

/// `SplitMix64`: the same numbers everywhere, whatever a package's next version thinks of chance.
struct Dice(u64);

impl Dice {
    /// Both ends included.
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
    fn the_photographs_are_inside() {
        assert_eq!(count(), 26);
        assert!(images().all(|(_, bytes)| bytes.starts_with(&[0xFF, 0xD8])));
        assert!(images().map(|(name, _)| name).is_sorted());
    }

    #[test]
    fn pictures_beyond_the_photographs_are_new_and_always_the_same() {
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
