//! Reads text and profiles of a PNG file and decompresses them up to a limit.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::ZlibDecoder;

use crate::imaging::facts::exif::{self, Metadata};

/// Maximum number of decompressed bytes for all text chunks of one file together.
const MAX_TEXT_BYTES: u64 = 8 << 20;
/// Maximum number of bytes that are read from the hexadecimal digits of one profile. An EXIF block has at most 64 KB.
const MAX_DIGITS: usize = 1 << 20;
/// Maximum number of decompressed bytes of the colour profile. Large profiles have approximately 3 MB.
const MAX_PROFILE_BYTES: u64 = 4 << 20;

/// Reads the orientation from text chunks. Each file needs its own reader, because the limit applies to all of its
/// chunks together.
pub(crate) struct TextReader {
    left: u64,
}

impl Default for TextReader {
    fn default() -> Self {
        Self { left: MAX_TEXT_BYTES }
    }
}

impl TextReader {
    /// Processes a `tEXt`, `zTXt` or `iTXt` chunk.
    pub(crate) fn take<'a>(&mut self, kind: [u8; 4], chunk: &'a [u8], metadata: &mut Metadata<'a>) {
        let Some((keyword, rest)) = split_at_zero(chunk) else { return };
        let is_xmp = keyword == b"XML:com.adobe.xmp";
        let is_iptc = matches!(keyword, b"Raw profile type iptc" | b"Raw profile type 8bim");
        let is_exif = matches!(keyword, b"Raw profile type exif" | b"Raw profile type APP1" | b"Raw profile type app1");
        if !is_xmp && !is_exif && !is_iptc {
            return;
        }
        let (is_compressed, body) = match (&kind, rest) {
            (b"zTXt", &[0, ref body @ ..]) => (true, body),
            (b"iTXt", &[flag, 0, ref rest @ ..]) => {
                let body = split_at_zero(rest).and_then(|(_language, rest)| split_at_zero(rest));
                let Some((_translated, body)) = body else { return };
                (flag != 0, body)
            }
            (b"tEXt", body) => (false, body),
            _ => return,
        };
        let text = if is_compressed {
            let inflated = inflate(body, self.left);
            self.left -= inflated.len() as u64;
            Cow::Owned(inflated)
        } else {
            Cow::Borrowed(body)
        };
        if is_xmp {
            metadata.xmp(text);
        } else if let Some(block) = exif::from_raw_profile(&text[..text.len().min(MAX_DIGITS)]) {
            if is_iptc {
                metadata.iptc(block);
                return;
            }
            match block.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                Some(xmp) => metadata.xmp(xmp.to_vec()),
                None => metadata.raw_profile(block),
            }
        }
    }
}

/// Returns the colour profile of an `iCCP` chunk, or `None` if it is damaged or too large.
pub(crate) fn profile(chunk: &[u8]) -> Option<Vec<u8>> {
    let (_name, rest) = split_at_zero(chunk)?;
    let profile = inflate(rest.strip_prefix(&[0])?, MAX_PROFILE_BYTES + 1);
    (profile.len() as u64 <= MAX_PROFILE_BYTES).then_some(profile)
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(0, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// Decompresses at most `limit` bytes. If the data is damaged, returns the bytes before the damage.
fn inflate(compressed: &[u8], limit: u64) -> Vec<u8> {
    let mut inflated = Vec::new();
    // An error only marks the end of the readable data.
    let _error = ZlibDecoder::new(compressed).take(limit).read_to_end(&mut inflated);
    inflated
}
