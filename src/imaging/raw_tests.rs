use super::*;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("tests/data/formats/{name}")).unwrap()
}

#[test]
fn the_largest_jpeg_of_every_maker_is_found() {
    for name in
        ["adobe.dng", "nikon.nef", "sony.arw", "canon.cr2", "canon.cr3", "fuji.raf", "panasonic.rw2", "olympus.orf"]
    {
        let bytes = file(name);
        let jpeg = preview(&bytes).unwrap_or_else(|error| panic!("{name}: {error}")).jpeg;
        let coding = coding::read(jpeg).unwrap();
        assert_eq!((coding.width, coding.height), (320, 240), "{name}");
        assert!(jpeg.ends_with(&[0xFF, 0xD9]), "{name}");
    }
}

#[test]
fn jpegs_inside_others_and_without_an_end_are_not_found_by_a_scan() {
    let bytes = file("canon.cr3");
    let jpeg = preview(&bytes).unwrap().jpeg;
    let nested = [&jpeg[..2], b"\xFF\xE1", &u16::try_from(jpeg.len() + 2).unwrap().to_be_bytes(), jpeg, &jpeg[2..]];
    assert_eq!(scan(&[&[7; 99], &nested.concat()[..], &[9; 99]].concat()), [&nested.concat()[..]]);
    assert!(scan(&jpeg[..jpeg.len() - 2]).is_empty());
}

#[test]
fn the_tiles_of_a_lossy_dng_are_not_its_preview() {
    let mut bytes = file("refused-thumbnail.dng");
    bytes.extend_from_slice(preview(&file("canon.cr3")).unwrap().jpeg);
    assert!(preview(&bytes).is_err());
}

#[test]
fn data_that_do_not_begin_as_a_jpeg_are_not_a_preview() {
    let mut bytes = file("fuji.raf");
    let offset = u32::from_be_bytes(bytes[84..88].try_into().unwrap());
    bytes[usize::try_from(offset).unwrap()] = 0;
    assert!(preview(&bytes).is_err());
}

#[test]
fn directories_that_refer_to_each_other_end() {
    for name in ["adobe.dng", "nikon.nef", "sony.arw", "canon.cr2", "panasonic.rw2"] {
        let bytes = file(name);
        let (tiff, first) = Tiff::open(&bytes).unwrap();
        let last = *tiff.chain(first).last().unwrap();
        let [_, (place, end)] = last.as_only_one();
        let place = usize::try_from(place).unwrap();
        let mut looped = bytes.clone();
        looped[place..place + end.len()].copy_from_slice(&bytes[4..8]);
        assert_eq!(preview(&looped).unwrap().jpeg, preview(&bytes).unwrap().jpeg, "{name}");
        let facts = |bytes: &[u8]| crate::imaging::exif_facts(bytes, crate::domain::ExifLevel::All);
        assert_eq!(facts(&looped), facts(&bytes), "{name}");
    }
}
