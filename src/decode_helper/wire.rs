//! The bytes between the service and a helper. All numbers are little-endian.
//!
//! | Message | Fields |
//! |---|---|
//! | greeting of the helper | `GLH1`, whether landlock and seccomp are active (2 bits of a byte) |
//! | request | format (1 byte), output (1), width, height, times (4 each), memory (8), CPU seconds (4), length (8), the file |
//! | reply | status (1 byte), length (8), the result or the text of the error |

use std::io::{self, Read, Write};

use crate::imaging::ImageError;
use crate::imaging::isolated::{IsolatedFormat, Output, Request};

/// The first bytes of a helper.
pub(super) const MAGIC: [u8; 4] = *b"GLH1";
/// The bits of the last byte of the greeting.
pub(super) const HAS_LANDLOCK: u8 = 1;
pub(super) const HAS_SECCOMP: u8 = 2;
/// The size of a greeting in bytes.
pub(super) const GREETING: usize = MAGIC.len() + 1;
/// The size of the fields of a reply in bytes.
pub(super) const REPLY_HEAD: usize = 1 + 8;
/// The size of the fields of a request in bytes.
const REQUEST_HEAD: usize = 1 + 1 + 3 * 4 + 8 + 4 + 8;
/// Maximum size of the text of an error in bytes.
pub(super) const MAX_TEXT: usize = 4096;

/// The fields of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestHead {
    pub(super) format: IsolatedFormat,
    pub(super) output: Output,
    pub(super) max_memory: u64,
    pub(super) cpu_seconds: u32,
    pub(super) length: u64,
}

impl RequestHead {
    pub(super) fn new(request: &Request<'_>, cpu_seconds: u32) -> Self {
        let Request { format, output, max_memory, bytes } = *request;
        Self { format, output, max_memory, cpu_seconds, length: bytes.len() as u64 }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let format = match self.format {
            IsolatedFormat::Avif => 0,
            IsolatedFormat::Jxl => 1,
        };
        let (output, (width, height), times) = match self.output {
            Output::Pixels { size, times } => (0, size, times),
            Output::Profile => (1, (0, 0), 0),
        };
        let mut bytes = vec![format, output];
        for number in [width, height, times] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.max_memory.to_le_bytes());
        bytes.extend(self.cpu_seconds.to_le_bytes());
        bytes.extend(self.length.to_le_bytes());
        bytes
    }

    /// Reads the fields. The result is `None` if the input ended before.
    ///
    /// # Errors
    /// Fails if the input ends within them, or if they are not those of a request.
    pub(super) fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = [0; REQUEST_HEAD];
        let (first, rest) = bytes.split_at_mut(1);
        if input.read(first)? == 0 {
            return Ok(None);
        }
        input.read_exact(rest)?;
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not a request");
        let u32_at = |at: usize| bytes[at..].first_chunk().map_or(0, |number| u32::from_le_bytes(*number));
        let u64_at = |at: usize| bytes[at..].first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
        let format = match bytes[0] {
            0 => IsolatedFormat::Avif,
            1 => IsolatedFormat::Jxl,
            _ => return Err(invalid()),
        };
        let output = match (bytes[1], u32_at(10)) {
            (0, times @ 1..=256) => Output::Pixels { size: (u32_at(2), u32_at(6)), times },
            (1, _) => Output::Profile,
            _ => return Err(invalid()),
        };
        Ok(Some(Self { format, output, max_memory: u64_at(14), cpu_seconds: u32_at(22), length: u64_at(26) }))
    }
}

const DONE: u8 = 0;
const UNSUPPORTED: u8 = 1;
const CORRUPT: u8 = 2;
const TRUNCATED: u8 = 3;

/// Writes a reply.
pub(super) fn write_reply(output: &mut impl Write, result: &Result<Vec<u8>, ImageError>) -> io::Result<()> {
    let text;
    let (status, content) = match result {
        Ok(content) => (DONE, &content[..]),
        Err(error) => {
            let status;
            (status, text) = match error {
                ImageError::UnsupportedCoding(name) => (UNSUPPORTED, name.clone()),
                ImageError::Truncated { .. } => (TRUNCATED, String::new()),
                ImageError::Corrupt { reason, .. } => (CORRUPT, reason.clone()),
                other => (CORRUPT, other.to_string()),
            };
            (status, &text.as_bytes()[..text.len().min(MAX_TEXT)])
        }
    };
    output.write_all(&[status])?;
    output.write_all(&(content.len() as u64).to_le_bytes())?;
    output.write_all(content)
}

/// What the fields of a reply announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyHead {
    status: u8,
    /// The number of bytes that follow.
    pub(super) length: usize,
}

impl ReplyHead {
    /// Reads the fields. Fails if a helper cannot have sent them for this output.
    pub(super) fn parse(bytes: [u8; REPLY_HEAD], output: Output) -> Result<Self, String> {
        let [status, length @ ..] = bytes;
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        let allowed = match status {
            DONE => output.allowed_bytes(),
            UNSUPPORTED | CORRUPT | TRUNCATED => 0..=MAX_TEXT,
            _ => return Err(format!("it sent a reply of the unknown kind {status}")),
        };
        if allowed.contains(&length) {
            return Ok(Self { status, length });
        }
        Err(format!("it announced {length} bytes; {} to {} bytes were expected", allowed.start(), allowed.end()))
    }

    /// Returns the result or the error.
    pub(super) fn into_result(self, content: Vec<u8>, format: IsolatedFormat) -> Result<Vec<u8>, ImageError> {
        let text = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
        match self.status {
            DONE => Ok(content),
            UNSUPPORTED => Err(ImageError::coding(text(&content))),
            TRUNCATED => Err(ImageError::truncated(format.image_format())),
            _ => Err(ImageError::corrupt(format.image_format(), text(&content))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ImageFormat;

    #[test]
    fn requests_are_read_as_they_were_written() {
        for output in [Output::Pixels { size: (640, 480), times: 3 }, Output::Profile] {
            let request = Request { format: IsolatedFormat::Jxl, output, max_memory: 1 << 40, bytes: &[1, 2, 3] };
            let head = RequestHead::new(&request, 7);
            let bytes = head.to_bytes();
            assert_eq!(RequestHead::read(&mut &bytes[..]).unwrap(), Some(head));
            assert_eq!(bytes.len(), REQUEST_HEAD);
            assert!(RequestHead::read(&mut &bytes[..9]).is_err());
            assert!(RequestHead::read(&mut &[&[9], &bytes[1..]].concat()[..]).is_err());
        }
        assert_eq!(RequestHead::read(&mut &[][..]).unwrap(), None);
    }

    #[test]
    fn replies_are_read_as_they_were_written() {
        let output = Output::Pixels { size: (2, 1), times: 1 };
        let format = ImageFormat::Avif;
        for result in [
            Ok(vec![1; 6]),
            Err(ImageError::corrupt(format, "its blocks are wrong")),
            Err(ImageError::coding("an AVIF image with the colour matrix 14".to_owned())),
            Err(ImageError::truncated(format)),
        ] {
            let mut bytes = Vec::new();
            write_reply(&mut bytes, &result).unwrap();
            let (head, content) = bytes.split_first_chunk().unwrap();
            let head = ReplyHead::parse(*head, output).unwrap();
            assert_eq!(head.length, content.len());
            assert_eq!(head.into_result(content.to_vec(), IsolatedFormat::Avif), result);
        }
    }

    #[test]
    fn a_reply_that_cannot_be_right_is_garbage() {
        let output = Output::Pixels { size: (2, 2), times: 2 };
        let parse = |status: u8, length: u64| {
            let mut head = [status; REPLY_HEAD];
            head[1..].copy_from_slice(&length.to_le_bytes());
            ReplyHead::parse(head, output)
        };
        assert!(parse(DONE, 6).is_ok() && parse(CORRUPT, 4096).is_ok());
        for (status, length) in [(DONE, 5), (DONE, 7), (DONE, u64::MAX), (CORRUPT, 4097), (9, 0)] {
            assert!(parse(status, length).is_err(), "{status} {length}");
        }
    }
}
