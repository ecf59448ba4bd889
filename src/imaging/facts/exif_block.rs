//! Finds the EXIF block and the XMP packet of the formats that do not store it in segments or chunks.

use std::borrow::Cow;

use super::sniff::sniff;
use super::tiff::{Tiff, tags};
use crate::domain::ImageFormat;
use crate::imaging::{avif, heic, jxl, raw, tiff};

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
        ImageFormat::Tiff | ImageFormat::Raw => from_directories(bytes, &[tags::XMP]).map(Cow::Borrowed),
        ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Webp | ImageFormat::Gif | ImageFormat::Bmp => None,
    }
}

/// Returns the IPTC records of a TIFF or camera RAW file, or the resources of Photoshop with them.
pub(crate) fn iptc_records(bytes: &[u8]) -> Option<&[u8]> {
    from_directories(bytes, &[tags::IPTC, tags::PHOTOSHOP])
}

/// Returns the offset of the directory of the image of a TIFF file. Tags that it lacks are in the first directory, which can
/// be that of a thumbnail. The tags of a RAW file are always in the first one.
pub(crate) fn image_directory(bytes: &[u8]) -> Option<u64> {
    if sniff(bytes) == Ok(ImageFormat::Tiff) { tiff::page_directory(bytes) } else { None }
}

/// Returns the bytes of the first of these tags that the directory of the image contains, or else the first directory.
fn from_directories<'a>(bytes: &'a [u8], wanted: &[u16]) -> Option<&'a [u8]> {
    let (file, first) = Tiff::open(bytes)?;
    let mut directories = image_directory(bytes).into_iter().chain([first]).filter_map(|at| file.directory(at));
    directories.find_map(|directory| wanted.iter().find_map(|&tag| directory.bytes(tag)))
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
