//! Finds the EXIF block and the XMP packet of the formats that do not store it in segments or chunks.

use std::borrow::Cow;

use super::sniff::sniff;
use super::tiff::{Directory, Tiff, tags};
use crate::domain::ImageFormat;
use crate::imaging::{avif, heic, jxl, raw};

/// Returns the EXIF block of a HEIC, AVIF, JPEG XL, TIFF or camera RAW file: a TIFF structure that begins with its byte order. Of the
/// other formats, [`Metadata`](super::exif::Metadata) collects the blocks.
pub(crate) fn exif_block(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    match sniff(bytes).ok()? {
        ImageFormat::Heic => heic::exif(bytes).map(Cow::Owned),
        ImageFormat::Avif => avif::exif(bytes).map(Cow::Owned),
        ImageFormat::Jxl => jxl::exif(bytes).map(Cow::Owned),
        // The tags are in the directories of the file itself.
        ImageFormat::Tiff => Some(Cow::Borrowed(bytes)),
        ImageFormat::Raw => raw::exif(bytes).map(Cow::Borrowed),
        ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Webp | ImageFormat::Gif | ImageFormat::Bmp => None,
    }
}

/// Returns the XMP packet of a HEIC, AVIF, JPEG XL, TIFF or camera RAW file.
pub(crate) fn xmp_packet(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    match sniff(bytes).ok()? {
        ImageFormat::Heic => heic::xmp(bytes).map(Cow::Owned),
        ImageFormat::Avif => avif::xmp(bytes).map(Cow::Owned),
        ImageFormat::Jxl => jxl::xmp(bytes).map(Cow::Owned),
        ImageFormat::Tiff | ImageFormat::Raw => first_directory(bytes)?.bytes(tags::XMP).map(Cow::Borrowed),
        ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Webp | ImageFormat::Gif | ImageFormat::Bmp => None,
    }
}

/// Returns the IPTC records of a TIFF or camera RAW file, or the resources of Photoshop with them.
pub(crate) fn iptc_records(bytes: &[u8]) -> Option<&[u8]> {
    let directory = first_directory(bytes)?;
    directory.bytes(tags::IPTC).or_else(|| directory.bytes(tags::PHOTOSHOP))
}

fn first_directory(bytes: &[u8]) -> Option<Directory<'_>> {
    let (file, first) = Tiff::open(bytes)?;
    file.directory(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_begins_with_its_byte_order() {
        let file = |name| std::fs::read(format!("tests/data/formats/{name}")).unwrap();
        for (name, orientation) in [("deep-turned.tif", 6), ("adobe.dng", 6), ("nikon.nef", 8), ("canon.cr3", 3)] {
            let bytes = file(name);
            let block = exif_block(&bytes).unwrap();
            let mut metadata = super::super::exif::Metadata::default();
            metadata.exif(&block);
            assert_eq!(metadata.orientation().map(image::metadata::Orientation::to_exif), Some(orientation), "{name}");
        }
        assert!(exif_block(&file("24.bmp")).is_none());
        #[cfg(feature = "heic")]
        assert!(exif_block(&file("turned.heic")).unwrap().starts_with(b"MM"));
        #[cfg(feature = "avif")]
        assert!(exif_block(&file("profile.avif")).unwrap().starts_with(b"MM"));
        #[cfg(feature = "jxl")]
        assert!(exif_block(&file("turned.jxl")).unwrap().starts_with(b"MM"));
    }
}
