//! Walks over the boxes of a HEIF file before its container is parsed.

use super::Coding;
use crate::imaging::ImageError;
use crate::imaging::facts::walk::Boxes;

/// Maximum size of a list of items in bytes. The time to parse the container grows with the square of it. A list of this
/// size has thousands of items; a phone writes about 50.
const MAX_LIST_BYTES: usize = 256 << 10;
/// The lists: items, their places, references and properties of items.
const LISTS: [&[u8; 4]; 4] = [b"iinf", b"iloc", b"iref", b"ipma"];

/// Checks that the container can be parsed in a short time.
pub(crate) fn check(bytes: &[u8], coding: Coding) -> Result<(), ImageError> {
    let meta = Boxes(bytes).find(|(kind, _)| *kind == b"meta").map(|(_, content)| content);
    // It is a full box: version and flags come first.
    let meta = meta.and_then(|content| content.get(4..)).ok_or_else(|| {
        if are_complete(bytes) {
            coding.corrupt("it has no `meta` box")
        } else {
            ImageError::truncated(coding.format())
        }
    })?;
    let properties = Boxes(meta).filter(|(kind, _)| *kind == b"iprp").flat_map(|(_, content)| Boxes(content));
    match Boxes(meta).chain(properties).find(|(kind, list)| LISTS.contains(kind) && list.len() > MAX_LIST_BYTES) {
        Some((kind, list)) => Err(coding.corrupt(format!(
            "its `{}` box has {} bytes; at most {MAX_LIST_BYTES} are read",
            String::from_utf8_lossy(kind),
            list.len()
        ))),
        None => Ok(()),
    }
}

/// Whether the file ends with the end of a box.
pub(crate) fn are_complete(bytes: &[u8]) -> bool {
    let mut boxes = Boxes(bytes);
    let has_meta = boxes.by_ref().filter(|(kind, _)| *kind == b"meta").count() > 0;
    has_meta && boxes.0.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).unwrap();
        [&size.to_be_bytes()[..], &kind, content].concat()
    }

    #[test]
    fn a_file_is_complete_with_its_last_box() {
        let file = [boxed(*b"ftyp", b"heic"), boxed(*b"meta", &[0; 12]), boxed(*b"mdat", &[7; 9])].concat();
        assert!(are_complete(&file));
        for length in 0..file.len() {
            // The file without its last box has no pixels, but the parser reports that.
            assert_eq!(are_complete(&file[..length]), length == 32, "{length}");
        }
        let long = [&[0, 0, 0, 1][..], b"mdat", &20_u64.to_be_bytes(), &[7; 4]].concat();
        assert!(are_complete(&[boxed(*b"meta", &[0; 4]), long.clone()].concat()));
        assert!(!are_complete(&[boxed(*b"meta", &[0; 4]), long[..19].to_vec()].concat()));
        assert!(are_complete(&[boxed(*b"meta", &[0; 4]), b"\0\0\0\0mdat123".to_vec()].concat()));
    }

    #[test]
    fn a_container_that_takes_long_to_parse_is_refused() {
        let meta = |size| boxed(*b"meta", &[&[0; 4][..], &boxed(*b"iprp", &boxed(*b"ipma", &vec![0; size]))].concat());
        assert_eq!(check(&meta(MAX_LIST_BYTES), Coding::Hevc), Ok(()));
        let error = check(&meta(MAX_LIST_BYTES + 1), Coding::Hevc).unwrap_err().to_string();
        assert!(error.contains("`ipma` box has 262145 bytes; at most 262144"), "{error}");
        let cut = check(&meta(10)[..20], Coding::Hevc);
        assert_eq!(cut, Err(ImageError::truncated(Coding::Hevc.format())));
    }
}
