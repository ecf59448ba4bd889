mod files;
mod packets;

use super::*;
use crate::imaging::facts::exif::PREFIX;

/// An entry of a directory: tag, type, and the bytes of the value in big-endian order.
type Entry<'a> = (u16, u16, &'a [u8]);

/// Appends a directory, and returns its position. Values that do not fit into an entry are behind it.
fn directory(tiff: &mut Vec<u8>, entries: &[Entry<'_>]) -> u32 {
    let at = tiff.len();
    let mut values = Vec::new();
    tiff.extend(u16::try_from(entries.len()).unwrap().to_be_bytes());
    let values_at = at + 2 + entries.len() * 12 + 4;
    for (tag, kind, value) in entries {
        let size = match kind {
            3 => 2,
            4 => 4,
            5 => 8,
            _ => 1,
        };
        tiff.extend(tag.to_be_bytes());
        tiff.extend(kind.to_be_bytes());
        tiff.extend(u32::try_from(value.len() / size).unwrap().to_be_bytes());
        if value.len() <= 4 {
            tiff.extend([*value, &[0; 4][value.len()..]].concat());
        } else {
            tiff.extend(u32::try_from(values_at + values.len()).unwrap().to_be_bytes());
            values.extend_from_slice(value);
        }
    }
    tiff.extend([0; 4]);
    tiff.extend(values);
    u32::try_from(at).unwrap()
}

/// A block with these directories: main, Exif, GPS.
fn block(main: &[Entry<'_>], exif: &[Entry<'_>], gps: &[Entry<'_>]) -> Vec<u8> {
    let mut tiff = b"MM\0*\0\0\0\0".to_vec();
    let [exif, gps] = [exif, gps].map(|entries| directory(&mut tiff, entries).to_be_bytes());
    let pointers: [Entry<'_>; 2] = [(tiff::EXIF_IFD, 4, &exif), (tiff::GPS_IFD, 4, &gps)];
    let at = directory(&mut tiff, &[main, &pointers].concat());
    tiff[4..8].copy_from_slice(&at.to_be_bytes());
    tiff
}

fn rationals(numbers: [(u32, u32); 3]) -> Vec<u8> {
    numbers.iter().flat_map(|(over, under)| [over.to_be_bytes(), under.to_be_bytes()].concat()).collect()
}

/// A JPEG file of these segments, which ends at its first scan.
fn jpeg(segments: &[(u8, &[u8])]) -> Vec<u8> {
    let frame: &[u8] = &[8, 0, 1, 0, 1, 1, 1, 0x11, 0];
    let mut file = b"\xFF\xD8".to_vec();
    for (marker, body) in segments.iter().chain([&(0xC0, frame), &(0xDA, &[1, 1, 0, 0, 63, 0][..])]) {
        file.extend([0xFF, *marker]);
        file.extend(u16::try_from(body.len() + 2).unwrap().to_be_bytes());
        file.extend_from_slice(body);
    }
    file
}

fn with_exif(block: &[u8]) -> Vec<u8> {
    jpeg(&[(0xE1, &[PREFIX, block].concat())])
}

fn xmp_segment(packet: &str) -> Vec<u8> {
    [b"http://ns.adobe.com/xap/1.0/\0", packet.as_bytes()].concat()
}

fn iphone() -> Vec<u8> {
    let main: [Entry<'_>; 4] = [
        (0x0112, 3, &[0, 6]),
        (tiff::MAKE, 2, b"Apple\0"),
        (tiff::MODEL, 2, b"iPhone 12 Pro\0"),
        (tiff::IMAGE_DESCRIPTION, 2, b"Caf\xE9\0junk"),
    ];
    let exif: [Entry<'_>; 4] = [
        (tiff::DATE_TIME_ORIGINAL, 2, b"2024:07:01 00:30:00\0"),
        (tiff::SUB_SEC_TIME_ORIGINAL, 2, b"25\0"),
        (tiff::OFFSET_TIME_ORIGINAL, 2, b"+02:00\0"),
        (tiff::LENS_MODEL, 2, b" iPhone 12 Pro back camera \0"),
    ];
    let (lat, lon) = (rationals([(48, 1), (8, 1), (1_376, 100)]), rationals([(11, 1), (3_453, 100), (0, 0)]));
    let gps: [Entry<'_>; 4] = [
        (tiff::GPS_LATITUDE_REF, 2, b"S\0"),
        (tiff::GPS_LATITUDE, 5, &lat),
        (tiff::GPS_LONGITUDE_REF, 2, b"E\0"),
        (tiff::GPS_LONGITUDE, 5, &lon),
    ];
    with_exif(&block(&main, &exif, &gps))
}

#[test]
fn the_level_decides_which_facts_are_read() {
    let all = exif_facts(&iphone(), ExifLevel::All);
    let expected = ExifFacts {
        level: ExifLevel::All,
        taken_at: Some(TakenAt::parse("2024-07-01T00:30:00.250000+02:00").unwrap()),
        camera: Some("Apple iPhone 12 Pro".to_owned()),
        lens: Some("iPhone 12 Pro back camera".to_owned()),
        orientation: Some(6),
        location: Position::new(-48.137_155_6, 11.575_5),
        caption: Some("Café".to_owned()),
        ..ExifFacts::default()
    };
    assert_eq!(all, expected);
    let basic = ExifFacts { level: ExifLevel::Basic, location: None, caption: None, ..expected };
    assert_eq!(exif_facts(&iphone(), ExifLevel::Basic), basic);
    assert_eq!(exif_facts(&iphone(), ExifLevel::None), ExifFacts::default());
    assert_eq!(exif_facts(b"no image", ExifLevel::All), ExifFacts { level: ExifLevel::All, ..ExifFacts::default() });
}

#[test]
fn a_camera_has_one_name() {
    for (maker, model, name) in [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("SONY", "ILCE-7M4", "SONY ILCE-7M4"),
        ("", "X100V", "X100V"),
        ("Leica", "", "Leica"),
        ("EASTMAN KODAK COMPANY", "KODAK DC240", "KODAK DC240"),
        ("LG Electronics", "LG-H870", "LG-H870"),
        (" ", "", ""),
    ] {
        assert_eq!(camera(maker, model).trim(), name);
    }
}

#[test]
fn the_offset_is_that_of_the_same_time() {
    let taken = |main: &[Entry<'_>], exif: &[Entry<'_>], gps: &[Entry<'_>]| {
        let facts = exif_facts(&with_exif(&block(main, exif, gps)), ExifLevel::All);
        facts.taken_at.map(|taken_at| taken_at.to_string()).unwrap_or_default()
    };
    let original: Entry<'_> = (tiff::DATE_TIME_ORIGINAL, 2, b"2024:06:30 12:00:00\0");
    let digitized: Entry<'_> = (tiff::DATE_TIME_DIGITIZED, 2, b"2024:06:30 12:00:00\0");
    let scanned: Entry<'_> = (tiff::DATE_TIME_DIGITIZED, 2, b"2025:01:01 09:00:00\0");
    let modified: Entry<'_> = (tiff::DATE_TIME, 2, b"2024:06:30 12:00:00\0");
    let edited: Entry<'_> = (tiff::DATE_TIME, 2, b"2025:01:01 09:00:00\0");
    let offset = |tag| -> Entry<'static> { (tag, 2, b"-03:30\0") };
    let (known, unknown) = ("2024-06-30T12:00:00-03:30", "2024-06-30T12:00:00Z");
    assert_eq!(taken(&[], &[original, offset(tiff::OFFSET_TIME_ORIGINAL)], &[]), known);
    assert_eq!(taken(&[], &[original, digitized, offset(tiff::OFFSET_TIME_DIGITIZED)], &[]), known);
    assert_eq!(taken(&[modified], &[original, offset(tiff::OFFSET_TIME)], &[]), known);
    assert_eq!(taken(&[], &[original, scanned, offset(tiff::OFFSET_TIME_DIGITIZED)], &[]), unknown);
    assert_eq!(taken(&[edited], &[original, offset(tiff::OFFSET_TIME)], &[]), unknown);
    assert_eq!(taken(&[edited], &[], &[]), "", "the time of an edit is not the time of the image");
    assert_eq!(taken(&[edited], &[scanned, offset(tiff::OFFSET_TIME_DIGITIZED)], &[]), "2025-01-01T09:00:00-03:30");
    let utc = rationals([(10, 1), (0, 1), (150, 10)]);
    let gps: [Entry<'_>; 2] = [(tiff::GPS_TIME_STAMP, 5, &utc), (tiff::GPS_DATE_STAMP, 2, b"2024:06:30\0")];
    assert_eq!(taken(&[], &[original], &gps), "2024-06-30T12:00:00+02:00");
    let basic = exif_facts(&with_exif(&block(&[], &[original], &gps)), ExifLevel::Basic);
    assert_eq!(basic.taken_at.unwrap().to_string(), unknown, "the offset says roughly where the image was taken");
}

#[test]
fn names_have_one_line_and_no_invisible_characters() {
    let maker: Entry<'_> = (tiff::MAKE, 2, "A\nB\u{202e}\u{200b}  C \0".as_bytes());
    let facts = exif_facts(&with_exif(&block(&[maker], &[], &[])), ExifLevel::Basic);
    assert_eq!(facts.camera.as_deref(), Some("A B C"));
}

#[test]
fn what_is_too_long_or_impossible_is_cut_or_left_out() {
    let long = "ä".repeat(5_000);
    let items: String = (0..1_000).map(|n| format!("<rdf:li>{n}</rdf:li>")).collect::<Vec<_>>().concat();
    let packet = format!(
        "<rdf:Description xmp:Rating=\"99\"><dc:title>{long}</dc:title><dc:description>\u{1}{long}</dc:description>\
         <dc:subject>{items}</dc:subject></rdf:Description>"
    );
    let main: [Entry<'_>; 2] = [(tiff::MODEL, 2, long.as_bytes()), (tiff::RATING, 3, &[0, 9])];
    let nowhere = rationals([(0, 1), (0, 1), (0, 1)]);
    let gps: [Entry<'_>; 4] = [
        (tiff::GPS_LATITUDE_REF, 2, b"N\0"),
        (tiff::GPS_LATITUDE, 5, &nowhere),
        (tiff::GPS_LONGITUDE_REF, 2, b"E\0"),
        (tiff::GPS_LONGITUDE, 5, &nowhere),
    ];
    let exif = [PREFIX, &block(&main, &[], &gps)].concat();
    let facts = exif_facts(&jpeg(&[(0xE1, &exif), (0xE1, &xmp_segment(&packet))]), ExifLevel::All);
    assert_eq!(facts.above_limit(), None);
    assert_eq!(facts.camera.unwrap().len(), ExifFacts::MAX_NAME_BYTES);
    assert_eq!(facts.title.unwrap().len(), ExifFacts::MAX_TITLE_BYTES);
    assert_eq!((facts.keywords.len(), facts.rating, facts.location), (ExifFacts::MAX_KEYWORDS, None, None));
}

#[test]
fn hostile_blocks_cost_at_most_the_facts() {
    // Directories that overlap: kamadak-exif keeps 6,682,000 entries of such a block.
    let pointers: u16 = 2_600;
    let mut overlapping = [b"MM\0*\0\0\0\x08", &pointers.to_be_bytes()[..]].concat();
    for n in 0..u32::from(pointers) {
        let at = 10 + u32::from(pointers) * 12 + 4 + n;
        overlapping.extend([&[0x87, 0x69, 0, 4, 0, 0, 0, 1][..], &at.to_be_bytes()].concat());
    }
    overlapping.resize(65_500, 0x0A);
    let facts = exif_facts(&with_exif(&overlapping), ExifLevel::All);
    assert_eq!(facts, ExifFacts { level: ExifLevel::All, orientation: Some(1), ..ExifFacts::default() });
    let deep = "<a>".repeat(100_000);
    exif_facts(&jpeg(&[(0xE1, &xmp_segment(&deep[..60_000]))]), ExifLevel::All);
    let file = iphone();
    let mut random = 1_u64;
    for _ in 0..20_000 {
        let mut hostile = file.clone();
        for _ in 0..4 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(random >> 33).unwrap() % hostile.len();
            hostile[at] = (random >> 25).to_le_bytes()[0];
        }
        assert_eq!(exif_facts(&hostile, ExifLevel::All).above_limit(), None);
    }
}

#[test]
fn the_head_of_a_file_is_enough_if_its_metadata_is_there() {
    let file = iphone();
    let whole = exif_facts(&file, ExifLevel::All);
    assert_eq!(exif_facts_of_head(&[&file[..], &[7; 100]].concat(), ExifLevel::All), Some(whole));
    for cut in 0..file.len() - 6 {
        assert_eq!(exif_facts_of_head(&file[..cut], ExifLevel::All), None, "{cut} of {} bytes", file.len());
    }
    let webp = |flags: u8| [b"RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0", &[flags, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]].concat();
    for (head, is_enough) in [
        (webp(0x10), true),
        (webp(0x18), false),
        (webp(0x04), false),
        (b"RIFF\0\0\0\0WEBPVP8 \x0A\0\0\0\0\0\0\x9D\x01\x2A\x01\0\x01\0".to_vec(), true),
        (b"GIF89a\x01\0\x01\0\0\0\0".to_vec(), true),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0DIHDR".to_vec(), false),
        (b"unknown".to_vec(), false),
    ] {
        assert_eq!(exif_facts_of_head(&head, ExifLevel::Basic).is_some(), is_enough, "{head:?}");
    }
    assert_eq!(exif_facts_of_head(b"", ExifLevel::None), Some(ExifFacts::default()));
}
