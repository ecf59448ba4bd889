use super::*;
use crate::domain::ExifLevel;
use crate::imaging::facts::exif_block::{iptc_records, xmp_packet};
use crate::imaging::{
    ImagingSettings, decode_upright, exif_facts, is_complete, prepare, preview, sniff, thumbnail, validate_image,
};
use crate::imaging::{Preprocessing, UprightImage};

const THUMBNAIL: u32 = 1;
/// Gray levels of the thumbnail and of the image.
const DARK: u8 = 40;
const BRIGHT: u8 = 200;
/// The number of the directory that follows the last one.
const NOTHING: usize = usize::MAX;

/// A directory with an image of one gray level.
#[derive(Clone)]
struct Part {
    size: (u32, u32),
    level: u8,
    subfile_type: u32,
    orientation: Option<u32>,
    photometric: u32,
    /// Tags with bytes.
    texts: Vec<(u16, &'static [u8])>,
    /// The number of the directory that follows, and of those to which this one refers.
    next: usize,
    children: Vec<usize>,
}

fn small() -> Part {
    Part {
        size: (16, 12),
        level: DARK,
        subfile_type: THUMBNAIL,
        orientation: None,
        photometric: 1,
        texts: Vec::new(),
        next: NOTHING,
        children: Vec::new(),
    }
}

fn full() -> Part {
    Part { size: (64, 48), level: BRIGHT, subfile_type: 0, ..small() }
}

/// Returns a file of these directories. The first one is that to which the header refers.
fn file_of(parts: &[Part]) -> Vec<u8> {
    // The number of tags does not depend on the offsets.
    let sizes: Vec<_> = parts.iter().map(|part| serialized(part, 0, |_| 0).len()).collect();
    let offsets: Vec<_> = sizes.iter().scan(8, |at, size| Some(std::mem::replace(at, *at + size))).collect();
    let offset = |number: usize| offsets.get(number).map_or(0, |&offset| u32::try_from(offset).unwrap());
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    for part in parts {
        file.extend(serialized(part, file.len(), offset));
    }
    file
}

/// Returns a directory at this place of the file, and its values and pixels.
fn serialized(part: &Part, at: usize, offset: impl Fn(usize) -> u32) -> Vec<u8> {
    const LONG: u16 = 4;
    const BYTES: u16 = 1;
    let (width, height) = part.size;
    let pixels = vec![part.level; (width * height) as usize];
    let children: Vec<u8> = part.children.iter().flat_map(|&child| offset(child).to_le_bytes()).collect();
    let long = |tag, number: u32| (tag, LONG, 1, number.to_le_bytes().to_vec());
    let mut entries = vec![
        long(tags::NEW_SUBFILE_TYPE, part.subfile_type),
        long(tags::WIDTH, width),
        long(tags::HEIGHT, height),
        long(tags::BITS, 8),
        long(tags::COMPRESSION, 1),
        long(tags::PHOTOMETRIC, part.photometric),
        long(tags::SAMPLES, 1),
        long(tags::ROWS_PER_STRIP, height),
        long(tags::STRIP_BYTES, width * height),
    ];
    entries.extend(part.orientation.map(|orientation| long(tags::ORIENTATION, orientation)));
    entries.extend(part.texts.iter().map(|(tag, text)| (*tag, BYTES, text.len(), text.to_vec())));
    if !children.is_empty() {
        entries.push((tags::SUB_IFDS, LONG, part.children.len(), children));
    }
    let values_at = at + 2 + (entries.len() + 1) * 12 + 4;
    entries.push(long(tags::STRIP_OFFSETS, u32::try_from(values_at).unwrap()));
    entries.sort_by_key(|(tag, ..)| *tag);
    let mut bytes = u16::try_from(entries.len()).unwrap().to_le_bytes().to_vec();
    let mut values = pixels;
    for (tag, kind, count, value) in entries {
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend(u32::try_from(count).unwrap().to_le_bytes());
        if value.len() <= 4 {
            bytes.extend([&value[..], &[0; 4][value.len()..]].concat());
        } else {
            bytes.extend(u32::try_from(values_at + values.len()).unwrap().to_le_bytes());
            values.extend(value);
        }
    }
    bytes.extend(offset(part.next).to_le_bytes());
    [bytes, values].concat()
}

/// Checks that every use of the file gets an image of this size and gray level, and returns it.
fn check(name: &str, file: &[u8], size: (u32, u32), level: u8) -> UprightImage {
    let limits = ImagingSettings::default().limits();
    assert_eq!(sniff(file), Ok(ImageFormat::Tiff), "{name}");
    let image = decode_upright(file, &limits).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((image.meta.width, image.meta.height), size, "{name}");
    assert!(image.rgb.iter().all(|&sample| sample == level), "{name}: {}", image.rgb[0]);
    assert_eq!(validate_image(file, &limits), Ok(image.meta), "{name}");
    assert!(is_complete(file), "{name}");
    let square = prepare(file, &limits, &Preprocessing::crop(8)).unwrap().image.rgb;
    assert!(square.iter().all(|sample| sample.abs_diff(level) < 2), "{name}: {}", square[0]);
    for jpeg in [thumbnail(file, &limits).unwrap(), preview(file, &limits, 1440).unwrap()] {
        let small = image::load_from_memory(&jpeg).unwrap().into_rgb8();
        assert_eq!(small.dimensions(), size, "{name}");
        assert!(small.as_raw().iter().all(|sample| sample.abs_diff(level) < 4), "{name}");
    }
    image
}

fn camera(file: &[u8]) -> Option<String> {
    exif_facts(file, ExifLevel::All).camera
}

#[test]
fn the_image_behind_a_thumbnail_is_decoded_and_described() {
    let image = Part {
        orientation: Some(6),
        texts: vec![(tags::MAKE, &b"Maker of the image\0"[..]), (tags::XMP, b"<image>"), (tags::IPTC, b"image")],
        ..full()
    };
    let texts = vec![(tags::MAKE, &b"Maker of the thumbnail\0"[..]), (tags::XMP, b"<small>"), (tags::IPTC, b"small")];
    let thumbnail = Part { orientation: Some(3), texts, ..small() };
    let mask = Part { subfile_type: 4, ..small() };
    for (name, parts) in [
        ("next", vec![Part { next: 1, ..thumbnail.clone() }, image.clone()]),
        ("child", vec![Part { children: vec![1], ..thumbnail.clone() }, image.clone()]),
        (
            "the largest child",
            vec![
                Part { children: vec![2, 1, 3], ..thumbnail.clone() },
                image.clone(),
                Part { subfile_type: 0, ..small() },
                Part { subfile_type: THUMBNAIL, ..full() },
            ],
        ),
        (
            "behind two thumbnails and a mask",
            vec![
                Part { next: 1, ..thumbnail.clone() },
                Part { next: 2, ..small() },
                Part { next: 3, ..mask },
                image.clone(),
            ],
        ),
    ] {
        let file = file_of(&parts);
        let decoded = check(name, &file, (48, 64), BRIGHT);
        assert_eq!((decoded.meta.orientation, decoded.meta.frames), (6, 1), "{name}");
        assert_eq!(exif_facts(&file, ExifLevel::All).orientation, Some(6), "{name}");
        assert_eq!(camera(&file).as_deref(), Some("Maker of the image"), "{name}");
        assert_eq!(xmp_packet(&file).as_deref(), Some(&b"<image>"[..]), "{name}");
        assert_eq!(iptc_records(&file), Some(&b"image"[..]), "{name}");
    }
}

#[test]
fn what_the_image_does_not_say_is_in_the_directory_of_the_thumbnail() {
    let texts = vec![(tags::MAKE, &b"Maker of the thumbnail\0"[..]), (tags::XMP, b"<small>"), (tags::IPTC, b"small")];
    let thumbnail = Part { orientation: Some(6), texts, ..small() };
    // The orientation is that of one image, unless the other one belongs to it.
    for (name, first, size, orientation) in [
        ("next", Part { next: 1, ..thumbnail.clone() }, (64, 48), 1),
        ("child", Part { children: vec![1], ..thumbnail }, (48, 64), 6),
    ] {
        let file = file_of(&[first, full()]);
        assert_eq!(check(name, &file, size, BRIGHT).meta.orientation, orientation, "{name}");
        assert_eq!(camera(&file).as_deref(), Some("Maker of the thumbnail"), "{name}");
        assert_eq!(xmp_packet(&file).as_deref(), Some(&b"<small>"[..]), "{name}");
        assert_eq!(iptc_records(&file), Some(&b"small"[..]), "{name}");
    }
}

#[test]
fn an_image_before_its_smaller_versions_is_used() {
    let larger = Part { size: (128, 96), ..full() };
    let parts = [Part { children: vec![1], next: 2, ..full() }, larger, small()];
    assert_eq!(check("children of an image", &file_of(&parts), (64, 48), BRIGHT).meta.frames, 1);
    let parts = [Part { next: 1, ..small() }, small()];
    assert_eq!(check("only thumbnails", &file_of(&parts), (16, 12), DARK).meta.frames, 1);
}

#[test]
fn directories_that_refer_to_each_other_end() {
    let thumbnail = |next, children: &[usize]| Part { next, children: children.to_vec(), ..small() };
    let page = |next, children: &[usize]| Part { children: children.to_vec(), next, ..full() };
    for (name, parts, frames) in [
        ("an image that follows itself", vec![page(0, &[])], 1),
        ("two images", vec![page(1, &[]), page(0, &[])], 2),
        ("the second image follows itself", vec![page(1, &[]), page(1, &[])], 2),
        ("a thumbnail and its image", vec![thumbnail(1, &[]), page(0, &[])], 1),
        ("an image behind a thumbnail that follows itself", vec![thumbnail(1, &[]), page(1, &[])], 1),
        ("a child that follows itself", vec![thumbnail(NOTHING, &[1]), page(1, &[])], 1),
        ("a child that refers to its thumbnail", vec![thumbnail(0, &[1]), page(0, &[0])], 1),
        ("an image that is its own child", vec![page(0, &[0])], 1),
    ] {
        let meta = check(name, &file_of(&parts), (64, 48), BRIGHT).meta;
        assert_eq!(meta.frames, frames, "{name}");
        assert!(camera(&file_of(&parts)).is_none(), "{name}");
    }
    let lost = file_of(&[thumbnail(0, &[0])]);
    check("a thumbnail that refers only to itself", &lost, (16, 12), DARK);
}

#[test]
fn only_a_preview_with_data_of_a_sensor_is_a_camera_raw_file() {
    let preview = |children: &[usize]| Part {
        children: children.to_vec(),
        texts: vec![(tags::MAKE, &b"Maker of scanners\0"[..])],
        ..small()
    };
    let sensor = Part { photometric: 32803, ..full() };
    for (parts, format) in [
        (vec![preview(&[1]), full()], ImageFormat::Tiff),
        (vec![preview(&[1]), sensor.clone()], ImageFormat::Raw),
        (vec![preview(&[1, 2]), full(), sensor], ImageFormat::Raw),
        (vec![preview(&[1]), Part { subfile_type: THUMBNAIL, ..full() }], ImageFormat::Raw),
    ] {
        assert_eq!(sniff(&file_of(&parts)), Ok(format));
    }
    // The directories of the images can be behind the bytes that are known.
    let both = file_of(&[preview(&[1]), full()]);
    assert_eq!(sniff(&both[..400]), Ok(ImageFormat::Raw));
    check("a scanner", &both, (64, 48), BRIGHT);
}

#[test]
fn a_tag_with_too_many_values_is_refused() {
    const SAMPLE_FORMAT: u16 = 339;
    static MANY: [u8; 1 << 18] = [1; 1 << 18];
    let file = file_of(&[Part { texts: vec![(SAMPLE_FORMAT, &MANY)], ..full() }]);
    let error = decode_upright(&file, &ImagingSettings::default().limits()).unwrap_err();
    assert!(error.to_string().contains("too many values"), "{error}");
}
