//! Walks over the boxes of a HEIF file before its container is parsed.

use crate::domain::ImageFormat;
use crate::imaging::ImageError;

/// Maximum size of a list of items in bytes. The time to parse the container grows with the square of it. A list of this
/// size has thousands of items; a phone writes about 50.
const MAX_LIST_BYTES: usize = 256 << 10;
/// The lists: items, their places, references and properties of items.
const LISTS: [&[u8; 4]; 4] = [b"iinf", b"iloc", b"iref", b"ipma"];

/// Checks that the container can be parsed in a short time.
pub(super) fn check(bytes: &[u8]) -> Result<(), ImageError> {
    let meta = Boxes(bytes).find(|(kind, _)| *kind == b"meta").map(|(_, content)| content);
    // It is a full box: version and flags come first.
    let meta = meta.and_then(|content| content.get(4..)).ok_or_else(|| {
        if are_complete(bytes) {
            super::corrupt("it has no `meta` box")
        } else {
            ImageError::truncated(ImageFormat::Heic)
        }
    })?;
    let properties = Boxes(meta).filter(|(kind, _)| *kind == b"iprp").flat_map(|(_, content)| Boxes(content));
    match Boxes(meta).chain(properties).find(|(kind, list)| LISTS.contains(kind) && list.len() > MAX_LIST_BYTES) {
        Some((kind, list)) => Err(super::corrupt(format!(
            "its `{}` box has {} bytes; at most {MAX_LIST_BYTES} are read",
            String::from_utf8_lossy(kind),
            list.len()
        ))),
        None => Ok(()),
    }
}

/// Whether the file ends with the end of a box.
pub(super) fn are_complete(bytes: &[u8]) -> bool {
    let mut boxes = Boxes(bytes);
    let kinds: Vec<_> = boxes.by_ref().map(|(kind, _)| kind).collect();
    boxes.0.is_empty() && kinds.contains(&b"meta")
}

/// Iterates over the boxes that are complete. The rest is a truncated one.
struct Boxes<'a>(&'a [u8]);

impl<'a> Iterator for Boxes<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (size, rest) = self.0.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (header, size) = match u32::from_be_bytes(*size) {
            // Up to the end of the file.
            0 => (8, self.0.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
            size => (8, usize::try_from(size).ok()?),
        };
        let content = self.0.get(header..size)?;
        self.0 = &self.0[size..];
        Some((kind, content))
    }
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
        assert_eq!(check(&meta(MAX_LIST_BYTES)), Ok(()));
        let error = check(&meta(MAX_LIST_BYTES + 1)).unwrap_err().to_string();
        assert!(error.contains("`ipma` box has 262145 bytes; at most 262144"), "{error}");
        assert_eq!(check(&meta(10)[..20]), Err(ImageError::truncated(ImageFormat::Heic)));
    }
}
