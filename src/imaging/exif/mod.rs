//! Reads the facts of [`ExifFacts`] from EXIF, IPTC and XMP. What is damaged costs at most the facts, never the image, and the
//! memory for reading does not depend on what a file declares.

mod clock;
mod head;
mod iptc;
mod text;
mod tiff;
mod xmp;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::facts::exif::Metadata;
use super::facts::header::read_metadata;
use crate::domain::{ExifFacts, ExifLevel, Position, TakenAt};
use clock::Clock;
use text::{clean, clean_list, clean_name};
use tiff::{Block, Ifd};
use xmp::Xmp;

/// Returns the facts of a whole file.
pub fn exif_facts(bytes: &[u8], level: ExifLevel) -> ExifFacts {
    if level == ExifLevel::None {
        return ExifFacts::default();
    }
    // A defect of a parser must not cost the image.
    let read = || read_metadata(bytes).ok().map(|(metadata, orientation)| read(&metadata, orientation, level));
    let read = catch_unwind(AssertUnwindSafe(read)).ok().flatten();
    read.unwrap_or(ExifFacts { level, ..ExifFacts::default() })
}

/// Returns the facts of a file from its first bytes; `None` if the file can have facts behind these.
pub fn exif_facts_of_head(head: &[u8], level: ExifLevel) -> Option<ExifFacts> {
    (level == ExifLevel::None || head::has_all_metadata(head)).then(|| exif_facts(head, level))
}

fn read(metadata: &Metadata<'_>, orientation: u8, level: ExifLevel) -> ExifFacts {
    let blocks = metadata.exif_blocks();
    let block = blocks.iter().find_map(|block| Block::parse(block));
    let block = block.map(|block| block.of_image(metadata.offset_of_image_directory()));
    let block = block.as_ref();
    let parts = metadata.part_blocks().map(|part| part.and_then(Block::parse).map(|part| part.main()));
    let child = |tag, part| block.and_then(|block| block.child(tag)).or(part);
    let [main, exif] = [block.map(Block::main), child(tiff::EXIF_IFD, parts[0])];
    let xmp = metadata.xmp_packets().map(|packet| Xmp::parse(&packet)).reduce(Xmp::or).unwrap_or_default();
    let text = |ifd: Option<&Ifd<'_>>, tag| ifd.and_then(|ifd| ifd.text(tag));
    let (main, exif) = (main.as_ref(), exif.as_ref());
    let names = ExifFacts::MAX_NAME_BYTES;
    let maker = text(main, tiff::MAKE).or(xmp.make);
    let model = text(main, tiff::MODEL).or(xmp.model);
    let facts = ExifFacts {
        level,
        taken_at: None,
        camera: clean_name(&camera(&maker.unwrap_or_default(), &model.unwrap_or_default()), names),
        lens: text(exif, tiff::LENS_MODEL).or(xmp.lens).and_then(|lens| clean_name(&lens, names)),
        orientation: Some(orientation),
        rating: xmp.rating.or_else(|| main?.integer(tiff::RATING).and_then(|stars| i8::try_from(stars).ok())),
        ..ExifFacts::default()
    };
    let facts = ExifFacts { rating: facts.rating.filter(|stars| (-1..=5).contains(stars)), ..facts };
    let gps = child(tiff::GPS_IFD, parts[1]).filter(|_| level == ExifLevel::All);
    let taken_at = taken_at(main, exif, gps.as_ref()).or_else(|| xmp.taken_at.as_deref().and_then(clock::parse_iso));
    let taken_at =
        taken_at.or_else(|| exif.and_then(digitized_at)).or_else(|| clock::parse_iso(xmp.created_at.as_deref()?));
    if level != ExifLevel::All {
        return ExifFacts { taken_at, ..facts };
    }
    let iptc = iptc::parse(&metadata.iptc_block());
    let keywords = if xmp.keywords.is_empty() { iptc.keywords } else { xmp.keywords };
    let title = xmp.title.or(iptc.title);
    let caption = xmp.caption.or(iptc.caption).or_else(|| text(main, tiff::IMAGE_DESCRIPTION));
    ExifFacts {
        taken_at,
        location: gps.as_ref().and_then(location),
        title: title.and_then(|title| clean(&title, ExifFacts::MAX_TITLE_BYTES)),
        caption: caption.and_then(|caption| clean(&caption, ExifFacts::MAX_CAPTION_BYTES)),
        keywords: clean_list(&keywords, ExifFacts::MAX_KEYWORDS, names),
        ..facts
    }
}

/// Returns maker and model as one name: many models begin with the name of the maker, or with a word of it.
fn camera(maker: &str, model: &str) -> String {
    let (maker, model) = (maker.trim(), model.trim());
    let first = model.split_whitespace().next().unwrap_or_default().to_lowercase();
    let mut words = maker.split_whitespace().map(str::to_lowercase);
    let begins_with_maker = words.next().is_none_or(|word| first.starts_with(&word)) || words.any(|word| word == first);
    if begins_with_maker { model.to_owned() } else { format!("{maker} {model}") }
}

/// Returns when the image was taken. The offset is the one that was written for this time; or that of another time of the
/// file which is the same, because an edited file has the time and the offset of the edit; or the difference from the time of
/// the satellites.
fn taken_at(main: Option<&Ifd<'_>>, exif: Option<&Ifd<'_>>, gps: Option<&Ifd<'_>>) -> Option<TakenAt> {
    let exif = exif?;
    let original = exif.bytes(tiff::DATE_TIME_ORIGINAL)?;
    let clock = Clock::parse(original, exif.bytes(tiff::SUB_SEC_TIME_ORIGINAL))?;
    let offset_of = |time: Option<&[u8]>, tag| {
        let is_same = time.is_some_and(|time| time.trim_ascii_end() == original.trim_ascii_end());
        is_same.then(|| clock::parse_offset(exif.bytes(tag)?)).flatten()
    };
    let offset = offset_of(Some(original), tiff::OFFSET_TIME_ORIGINAL)
        .or_else(|| offset_of(exif.bytes(tiff::DATE_TIME_DIGITIZED), tiff::OFFSET_TIME_DIGITIZED))
        .or_else(|| offset_of(main?.bytes(tiff::DATE_TIME), tiff::OFFSET_TIME))
        .or_else(|| clock.offset_from(satellite_time(gps?)?));
    clock.at_offset(offset)
}

/// Returns when the image was digitized: for files that do not say when they were taken.
fn digitized_at(exif: &Ifd<'_>) -> Option<TakenAt> {
    let clock = Clock::parse(exif.bytes(tiff::DATE_TIME_DIGITIZED)?, exif.bytes(tiff::SUB_SEC_TIME_DIGITIZED))?;
    clock.at_offset(exif.bytes(tiff::OFFSET_TIME_DIGITIZED).and_then(clock::parse_offset))
}

/// Returns the time of the satellites, which is UTC.
fn satellite_time(gps: &Ifd<'_>) -> Option<Clock> {
    let [hours, minutes, seconds] = gps.rationals(tiff::GPS_TIME_STAMP)?;
    let date = gps.bytes(tiff::GPS_DATE_STAMP)?.get(..clock::DATE_BYTES)?;
    Clock::parse(
        format!("{} {hours:02.0}:{minutes:02.0}:{:02.0}", str::from_utf8(date).ok()?, seconds.floor()).as_bytes(),
        None,
    )
}

fn location(gps: &Ifd<'_>) -> Option<Position> {
    let angle = |degrees, reference, negative: u8| {
        let [degrees, minutes, seconds] = gps.rationals(degrees)?;
        let angle = degrees + minutes / 60.0 + seconds / 3_600.0;
        let is_negative = gps.bytes(reference)?.first()?.eq_ignore_ascii_case(&negative);
        Some(if is_negative { -angle } else { angle })
    };
    let lat = angle(tiff::GPS_LATITUDE, tiff::GPS_LATITUDE_REF, b'S')?;
    let lon = angle(tiff::GPS_LONGITUDE, tiff::GPS_LONGITUDE_REF, b'W')?;
    // A receiver without a fix writes zeros.
    Position::new(lat, lon).filter(|position| position.lat_e7() != 0 || position.lon_e7() != 0)
}

#[cfg(test)]
mod tests;
