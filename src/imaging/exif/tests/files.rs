use super::*;
use crate::imaging::facts::exif_block::{iptc_records, xmp_packet};

/// A file like TIFF with tags of 12 or, in `BigTIFF`, 20 bytes, all values behind them.
fn file_of_tags(magic: [u8; 4], tags: &[(u16, u16, &[u8])]) -> Vec<u8> {
    let is_big = magic[2] == b'+';
    let number = |value: usize| {
        let bytes = (value as u64).to_le_bytes();
        if is_big { bytes.to_vec() } else { bytes[..4].to_vec() }
    };
    let (head, count) = if is_big { (16, 8) } else { (8, 2) };
    let mut values = head + count + tags.len() * if is_big { 20 } else { 12 } + if is_big { 8 } else { 4 };
    let mut file = magic.to_vec();
    file.extend(if is_big { [8, 0, 0, 0].to_vec() } else { Vec::new() });
    file.extend(number(head));
    file.extend(&(tags.len() as u64).to_le_bytes()[..count]);
    for (tag, kind, value) in tags {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([number(value.len()), number(values)].concat());
        values += value.len();
    }
    file.extend(number(0));
    file.extend(tags.iter().flat_map(|(_, _, value)| value.iter().copied()));
    file
}

#[test]
fn the_directories_of_a_file_itself_are_read() {
    for magic in [*b"II*\0", *b"II+\0", *b"IIRO", *b"IIU\0"] {
        let file = file_of_tags(magic, &[(tiff::MAKE, 2, b"Maker of it\0"), (tiff::MODEL, 2, b"Model of it\0")]);
        let main = Block::parse(&file).unwrap().main();
        assert_eq!(
            [tiff::MAKE, tiff::MODEL].map(|tag| main.text(tag)),
            ["Maker of it", "Model of it"].map(|text| Some(text.to_owned())),
            "{magic:?}"
        );
    }
}

#[test]
fn xmp_and_iptc_in_tags_are_found() {
    let file = file_of_tags(*b"II*\0", &[(700, 1, b"<a packet>"), (33723, 7, b"\x1C\x02\x05\0\x05title")]);
    assert_eq!(xmp_packet(&file).as_deref(), Some(&b"<a packet>"[..]));
    assert_eq!(iptc::parse(iptc_records(&file).unwrap()).title.as_deref(), Some("title"));
    let with_resources = file_of_tags(*b"II*\0", &[(34377, 7, b"8BIM\x04\x04\0\0\0\0\0\x0A\x1C\x02\x05\0\x05title")]);
    assert_eq!(iptc::parse(iptc_records(&with_resources).unwrap()).title.as_deref(), Some("title"));
    assert!(xmp_packet(&with_resources).is_none());
}

#[test]
fn a_raw_file_has_the_facts_of_its_jpeg_or_of_its_parts() {
    let file = |name| std::fs::read(format!("tests/data/formats/{name}")).unwrap();
    let iphone = iphone();
    // The segment with EXIF, without the two bytes before it and the two of the end after it.
    let segment = &iphone[2..4 + usize::from(u16::from_be_bytes([iphone[4], iphone[5]]))];
    let mut fuji = file("fuji.raf");
    let [offset, length] = [84, 88].map(|at| u32::from_be_bytes(fuji[at..at + 4].try_into().unwrap()));
    let at = usize::try_from(offset).unwrap() + 2;
    fuji.splice(at..at, segment.iter().copied());
    let length = length + u32::try_from(segment.len()).unwrap();
    fuji[88..92].copy_from_slice(&length.to_be_bytes());
    let facts = exif_facts(&fuji, ExifLevel::All);
    assert_eq!(facts.camera.as_deref(), Some("Apple iPhone 12 Pro"));
    assert_eq!(facts.taken_at.unwrap().to_string(), "2024-07-01T00:30:00.250000+02:00");

    let mut canon = file("canon.cr3");
    let exif =
        block(&[(tiff::DATE_TIME_ORIGINAL, 2, b"2024:06:30 12:00:00\0"), (tiff::LENS_MODEL, 2, b"RF50mm\0")], &[], &[]);
    let (lat, lon) = (rationals([(48, 1), (0, 1), (0, 1)]), rationals([(11, 1), (0, 1), (0, 1)]));
    let gps = block(
        &[
            (tiff::GPS_LATITUDE_REF, 2, b"N\0"),
            (tiff::GPS_LATITUDE, 5, &lat),
            (tiff::GPS_LONGITUDE_REF, 2, b"E\0"),
            (tiff::GPS_LONGITUDE, 5, &lon),
        ],
        &[],
        &[],
    );
    let at = memchr::memmem::find(&canon, b"CMT1").unwrap();
    canon.splice(at..at, [&b"CMT2"[..], &exif, b"CMT4", &gps].concat());
    let facts = exif_facts(&canon, ExifLevel::All);
    assert_eq!(facts.lens.as_deref(), Some("RF50mm"));
    assert_eq!(facts.taken_at.unwrap().to_string(), "2024-06-30T12:00:00Z");
    assert_eq!(facts.location, Position::new(48.0, 11.0));
    assert_eq!(exif_facts(&canon, ExifLevel::Basic).location, None);
}
