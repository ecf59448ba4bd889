use glimpse::domain::FailureClass;

use super::{assert_red_blue_green, data, decoded};

#[test]
fn several_scans_and_unusual_sampling_give_the_image() {
    // The encoding has little room for colour: libjpeg-turbo differs from the original by up to 12, too.
    for name in [
        "three-scans-420.jpg",
        "two-scans-422.jpg",
        "chroma-first-440.jpg",
        "four-scans-cmyk.jpg",
        "small-luma.jpg",
        "three-by-one.jpg",
    ] {
        let image = decoded(&data(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_red_blue_green(name, &image, 16);
    }
}

#[test]
fn a_jfif_header_has_precedence_over_an_adobe_segment() {
    for name in ["plain.jpg", "three-scans-420.jpg", "progressive-restarts.jpg"] {
        let file = data(name);
        let jfif = file.starts_with(&[0xFF, 0xD8, 0xFF, 0xE0]) && file[6..].starts_with(b"JFIF");
        let head =
            if jfif { file[..20].to_vec() } else { b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0".to_vec() };
        let rest = if jfif { &file[20..] } else { &file[2..] };
        let adobe = b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0";
        let image = decoded(&[&head[..], adobe, rest].concat()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let plain = decoded(&file).unwrap();
        assert_eq!(image.rgb, plain.rgb, "{name}");
    }
}

#[test]
fn progressive_with_restart_markers_is_the_same_image() {
    let (plain, restarts) = (decoded(&data("plain.jpg")).unwrap(), decoded(&data("progressive-restarts.jpg")).unwrap());
    let difference = plain.rgb.iter().zip(&restarts.rgb[..]).map(|(one, other)| one.abs_diff(*other)).max();
    assert!(plain.rgb.len() == restarts.rgb.len() && difference <= Some(1), "{difference:?}");
}

#[test]
fn an_incomplete_or_missing_scan_is_truncated() {
    let whole = data("three-scans-420.jpg");
    let scans: Vec<usize> = (0..whole.len() - 1).filter(|&at| whole[at..at + 2] == [0xFF, 0xDA]).collect();
    assert_eq!(scans.len(), 3);
    let middle = |from: usize, until: usize| (from + 10 + until) / 2;
    let end = [0xFF, 0xD9];
    let cut_before = |at: usize| whole[..at].to_vec();
    let first_cut = [&whole[..middle(scans[0], scans[1])], &whole[scans[1]..]].concat();
    let last_cut = &whole[..middle(scans[2], whole.len())];
    for (what, file) in [
        ("the last scan is cut", last_cut.to_vec()),
        ("the same with an end marker", [last_cut, &end].concat()),
        ("one scan is missing", [&cut_before(scans[2])[..], &end].concat()),
        ("two scans are missing", [&cut_before(scans[1])[..], &end].concat()),
        ("the end marker of two scans is missing", cut_before(scans[2])),
    ] {
        assert_eq!(decoded(&file).unwrap_err().class(), FailureClass::Truncated, "{what}");
    }
    let hole = decoded(&first_cut).unwrap_err().class();
    assert!(matches!(hole, FailureClass::Truncated | FailureClass::Corrupt), "{hole}");
    let without_end = &whole[..whole.len() - 2];
    assert_red_blue_green("without its end marker", &decoded(without_end).unwrap(), 16);
}

#[test]
fn an_unsupported_coding_is_named() {
    let no_height = {
        let mut file = data("plain.jpg");
        let frame = file.windows(2).position(|two| two == [0xFF, 0xC0]).unwrap();
        file[frame + 5..frame + 7].fill(0);
        file
    };
    for (name, file, named) in [
        ("arithmetic.jpg", data("arithmetic.jpg"), "arithmetic-coded"),
        ("arithmetic-progressive.jpg", data("arithmetic-progressive.jpg"), "arithmetic-coded"),
        ("lossless.jpg", data("lossless.jpg"), "lossless"),
        ("jpeg-ls.jpg", data("jpeg-ls.jpg"), "JPEG-LS"),
        ("twelve-bits.jpg", data("twelve-bits.jpg"), "12 bits"),
        ("no height", no_height, "DNL"),
    ] {
        let error = decoded(&file).unwrap_err();
        assert_eq!(error.class(), FailureClass::UnsupportedFormat, "{name}: {error}");
        assert!(error.to_string().contains(named), "{name}: {error}");
    }
}

#[test]
fn a_file_without_huffman_tables_has_the_standard_ones() {
    let plain = data("plain.jpg");
    let (mut without, mut at) = (plain[..2].to_vec(), 2);
    // The file has the standard tables, one after another, before its only scan.
    while plain[at + 1] != 0xDA {
        let end = at + 2 + usize::from(u16::from_be_bytes([plain[at + 2], plain[at + 3]]));
        if plain[at + 1] != 0xC4 {
            without.extend_from_slice(&plain[at..end]);
        }
        at = end;
    }
    without.extend_from_slice(&plain[at..]);
    assert!(without.len() < plain.len() - 400);
    assert_eq!(decoded(&without).unwrap().rgb, decoded(&plain).unwrap().rgb);
}

#[test]
fn a_gif_whose_screen_has_no_pixels_has_the_size_of_its_frame() {
    use gif::{Encoder, Frame};
    let mut file = Vec::new();
    let frame = Frame { width: 4, height: 3, buffer: vec![1; 12].into(), ..Frame::default() };
    Encoder::new(&mut file, 0, 0, &[0, 0, 0, 220, 30, 30]).unwrap().write_frame(&frame).unwrap();
    let image = decoded(&file).unwrap();
    assert_eq!((image.meta.width, image.meta.height), (4, 3));
}
