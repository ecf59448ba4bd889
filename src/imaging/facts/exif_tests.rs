use super::*;

fn orientation_from_exif(blocks: &[&[u8]]) -> Option<u8> {
    let mut metadata = Metadata::default();
    for block in blocks {
        metadata.exif(block);
    }
    metadata.orientation().map(Orientation::to_exif)
}

fn orientation_from_xmp(packets: &[&str]) -> Option<u8> {
    let mut metadata = Metadata::default();
    for packet in packets {
        metadata.xmp(packet.as_bytes());
    }
    metadata.orientation().map(Orientation::to_exif)
}

/// A block with one entry, in little_endian_block-endian order; `data` follows the IFD at offset 26.
fn little_endian_block(kind: u16, count: u32, value: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01".to_vec();
    block.extend(kind.to_le_bytes());
    block.extend(count.to_le_bytes());
    block.extend(value);
    block.extend([0; 4]);
    block.extend(data);
    block
}

#[test]
fn every_orientation_is_read_with_and_without_the_prefix() {
    for value in 1..=8 {
        let bare = block(value);
        let prefixed = [PREFIX, &bare].concat();
        let twice = [PREFIX, &prefixed].concat();
        for block in [&bare, &prefixed, &twice] {
            assert_eq!(orientation_from_exif(&[block]).map(u16::from), Some(value));
        }
    }
}

#[test]
fn every_numeric_type_is_read() {
    const OFFSET: [u8; 4] = [26, 0, 0, 0];
    for kind in [1, 3, 4, 6, 7, 8, 9, 13] {
        assert_eq!(orientation_from_exif(&[&little_endian_block(kind, 1, [6, 0, 0, 0], &[])]), Some(6), "type {kind}");
    }
    for (kind, data) in [
        (5, [6, 0, 0, 0, 1, 0, 0, 0]),
        (10, [12, 0, 0, 0, 2, 0, 0, 0]),
        (12, 6_f64.to_le_bytes()),
        (16, 6_u64.to_le_bytes()),
    ] {
        assert_eq!(orientation_from_exif(&[&little_endian_block(kind, 1, OFFSET, &data)]), Some(6), "type {kind}");
    }
    assert_eq!(orientation_from_exif(&[&little_endian_block(11, 1, 6_f32.to_le_bytes(), &[])]), Some(6));
    assert_eq!(
        orientation_from_exif(&[&little_endian_block(4, 2, OFFSET, &[6, 0, 0, 0, 3, 0, 0, 0])]),
        Some(6),
        "the first of two"
    );
    for (kind, count, value) in [(2, 1, [b'6', 0, 0, 0]), (3, 0, [6, 0, 0, 0]), (99, 1, [6, 0, 0, 0])] {
        assert_eq!(orientation_from_exif(&[&little_endian_block(kind, count, value, &[])]), None, "type {kind}");
    }
}

#[test]
fn a_block_can_be_split_into_segments_and_follow_an_empty_block() {
    let whole = block(6);
    let (one, two) = whole.split_at(12);
    assert_eq!(orientation_from_exif(&[&[PREFIX, one].concat(), &[PREFIX, two].concat()]), Some(6));
    assert_eq!(orientation_from_exif(&[b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0", &whole]), Some(6));
    assert_eq!(orientation_from_exif(&[&block(3), &block(6)]), Some(3));
}

#[test]
fn damaged_blocks_are_ignored() {
    assert_eq!(orientation_from_exif(&[&block(0)]), None);
    assert_eq!(orientation_from_exif(&[&block(9)]), None);
    assert_eq!(orientation_from_exif(&[b"Exif\0\0II*\0\xFF\xFF\xFF\xFF"]), None);
    assert_eq!(orientation_from_exif(&[&little_endian_block(4, 2, [0xFF; 4], &[])]), None);
    for cut in 0..block(6).len() - 6 {
        assert_eq!(orientation_from_exif(&[&block(6)[..cut]]), None);
    }
}

#[test]
fn xmp_is_read_in_both_spellings() {
    for xmp in [
        "<x tiff:Orientation=\"6\"/>",
        "<tiff:Orientation>6</tiff:Orientation>",
        "tiff:Orientation= tiff:Orientation='6'",
    ] {
        assert_eq!(orientation_from_xmp(&[xmp]), Some(6), "{xmp}");
    }
    assert_eq!(orientation_from_xmp(&["tiff:Orientation=\"0\""]), None);
    assert_eq!(orientation_from_xmp(&["tiff:Orientation"]), None);
    assert_eq!(orientation_from_xmp(&["tiff:Orientation=\"3\"", "tiff:Orientation=\"6\"", "without"]), Some(6));
}

#[test]
fn exif_has_priority_over_a_raw_profile_and_both_over_xmp() {
    let read_orientation = |exif: Option<u16>, profile: Option<u16>| {
        let (exif, profile) = (exif.map(block), profile.map(block));
        let mut metadata = Metadata::default();
        metadata.xmp(b"tiff:Orientation=\"8\"");
        if let Some(block) = &exif {
            metadata.exif(block);
        }
        if let Some(block) = &profile {
            metadata.raw_profile(block.clone());
        }
        metadata.orientation().map(Orientation::to_exif)
    };
    assert_eq!(read_orientation(Some(3), Some(6)), Some(3));
    assert_eq!(read_orientation(None, Some(6)), Some(6));
    assert_eq!(read_orientation(None, None), Some(8));
    assert_eq!(read_orientation(Some(0), None), None, "an invalid value in EXIF is not replaced by XMP");
}
