//! Checks the checksums that a client declares for its body, in a header before the body or in a trailer after it. A
//! body with another checksum is rejected with `BadDigest`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::{S3Result, TrailingHeaders, s3_error};

pub(super) const CRC32: &str = "x-amz-checksum-crc32";
pub(super) const CRC32C: &str = "x-amz-checksum-crc32c";
pub(super) const CRC64: &str = "x-amz-checksum-crc64nvme";
pub(super) const SHA1: &str = "x-amz-checksum-sha1";
pub(super) const SHA256: &str = "x-amz-checksum-sha256";

/// The checksums in the headers of a request.
pub(super) struct DeclaredChecksums {
    pub(super) md5: Option<String>,
    pub(super) given: [(&'static str, Option<String>); 5],
}

/// Makes an [`DeclaredChecksums`] from any request with a body. It is a macro because these requests have common
/// fields, but no common trait.
macro_rules! declared_checksums {
    ($input:expr) => {
        $crate::source::embedded::checksums::DeclaredChecksums {
            md5: $input.content_md5.clone(),
            given: [
                ($crate::source::embedded::checksums::CRC32, $input.checksum_crc32.clone()),
                ($crate::source::embedded::checksums::CRC32C, $input.checksum_crc32c.clone()),
                ($crate::source::embedded::checksums::CRC64, $input.checksum_crc64nvme.clone()),
                ($crate::source::embedded::checksums::SHA1, $input.checksum_sha1.clone()),
                ($crate::source::embedded::checksums::SHA256, $input.checksum_sha256.clone()),
            ],
        }
    };
}
pub(super) use declared_checksums;

/// The checksums that one body must have, and their computation.
#[derive(Default)]
pub(super) struct Expected {
    md5: Option<String>,
    given: Vec<(&'static str, String)>,
    trailing: Option<TrailingHeaders>,
    hasher: ChecksumHasher,
}

impl Expected {
    /// Collects the checksums that a request declares for its body.
    pub(super) fn from_request(
        sums: DeclaredChecksums,
        headers: &HeaderMap,
        trailing: Option<TrailingHeaders>,
    ) -> Self {
        let DeclaredChecksums { md5, given } = sums;
        let given: Vec<_> = given.into_iter().filter_map(|(name, sum)| Some((name, sum?))).collect();
        let trailers = headers.get("x-amz-trailer").and_then(|names| names.to_str().ok()).unwrap_or_default();
        let wanted = |name| {
            given.iter().any(|(header, _)| *header == name) || trailers.split(',').any(|trailer| trailer.trim() == name)
        };
        let hasher = ChecksumHasher {
            crc32: wanted(CRC32).then(Crc32::new),
            crc32c: wanted(CRC32C).then(Crc32c::new),
            crc64nvme: wanted(CRC64).then(Crc64Nvme::new),
            sha1: wanted(SHA1).then(Sha1::new),
            sha256: wanted(SHA256).then(Sha256::new),
        };
        Self { md5, given, trailing, hasher }
    }

    /// Adds the next bytes of the body.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Checks the complete body against the declared checksums.
    pub(super) fn check(mut self, md5: &[u8]) -> S3Result<()> {
        if let Some(trailers) = self.trailing.as_ref().and_then(TrailingHeaders::take) {
            let sums = [CRC32, CRC32C, CRC64, SHA1, SHA256].into_iter();
            self.given.extend(sums.filter_map(|name| Some((name, trailers.get(name)?.to_str().ok()?.to_owned()))));
        }
        let sums = self.hasher.finalize();
        for (name, given) in self.given {
            let sum = match name {
                CRC32 => &sums.checksum_crc32,
                CRC32C => &sums.checksum_crc32c,
                CRC64 => &sums.checksum_crc64nvme,
                SHA1 => &sums.checksum_sha1,
                _ => &sums.checksum_sha256,
            };
            if sum.as_ref().is_some_and(|sum| *sum != given) {
                return Err(s3_error!(BadDigest, "the checksum of the body differs from the value of {name}"));
            }
        }
        match self.md5 {
            Some(given) if given != STANDARD.encode(md5) => Err(s3_error!(BadDigest)),
            _ => Ok(()),
        }
    }
}
