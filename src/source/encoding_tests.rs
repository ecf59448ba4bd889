//! Tests that every encoding is decoded, and that every error names the encoding.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const LIMIT: u64 = 1 << 20;

fn fetched(header: Option<&str>, bytes: impl Into<Bytes>) -> Fetched {
    Fetched {
        bytes: bytes.into(),
        etag: None,
        modified: None,
        content_type: None,
        content_encoding: header.map(str::to_owned),
        metadata: BTreeMap::new(),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Stored without compression (RFC 7932, 9.2).
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, block) in bytes.chunks(1 << 16).enumerate() {
        let length = u32::try_from(block.len() - 1).unwrap();
        // The first header has one more bit in front: the size of the window.
        let bits = (length << 3 | 1 << 19) << u32::from(at == 0);
        out.extend(&bits.to_le_bytes()[..3]);
        out.extend(block);
    }
    out.push(3);
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// A JPEG by its first bytes, of which the rest compresses well.
fn image() -> Vec<u8> {
    [&[0xFF, 0xD8, 0xFF, 0xE0][..], &b"some image ".repeat(9_000)].concat()
}

#[tokio::test]
async fn every_encoding_and_their_combinations_are_decoded() {
    let image = image();
    let padded = [gzip(&image), vec![0; 512]].concat();
    // Many small parts: some begin at the last byte of a reader's buffer.
    let members = image.chunks(7).flat_map(gzip).collect();
    let skipped = [&[0x5E, 0x2A, 0x4D, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let frames = image.chunks(501).flat_map(|part| [skipped.clone(), zstd(part)].concat()).chain(skipped.clone());
    let frames = frames.collect();
    for (header, stored) in [
        ("gzip", gzip(&image)),
        ("GZip", gzip(&image)),
        ("x-gzip", gzip(&image)),
        ("aws-chunked,gzip", gzip(&image)),
        ("gzip, aws-chunked", gzip(&image)),
        ("deflate", zlib(&image)),
        ("deflate", deflate(&image)),
        ("br", brotli(&image)),
        ("zstd", zstd(&image)),
        ("deflate, gzip", gzip(&zlib(&image))),
        ("gzip,br,zstd", zstd(&brotli(&gzip(&image)))),
        ("identity", image.clone()),
        ("aws-chunked", image.clone()),
        ("", image.clone()),
        // Declared, but not applied.
        ("gzip", image.clone()),
        ("deflate", image.clone()),
        ("br", image.clone()),
        ("zstd", image.clone()),
        ("base64", image.clone()),
        ("UTF-8", image.clone()),
        ("gzip, gzip", gzip(&image)),
        ("gzip", padded),
        ("gzip", members),
        ("zstd", frames),
    ] {
        let decoded = fetched(Some(header), stored).decoded(LIMIT).await;
        assert!(
            decoded.as_ref().is_ok_and(|bytes| *bytes == image),
            "{header}: {:?}",
            decoded.map(|bytes| bytes.len())
        );
    }
    assert_eq!(
        fetched(None, gzip(&image)).decoded(LIMIT).await.unwrap(),
        gzip(&image),
        "nothing is decoded without a header"
    );
    assert_eq!(fetched(Some("gzip"), "s3_key,taxon\n").decoded(LIMIT).await.unwrap(), "s3_key,taxon\n");
}

#[tokio::test]
async fn an_error_names_the_encoding() {
    let image = image();
    for (header, encode) in [
        ("gzip", gzip as fn(&[u8]) -> Vec<u8>),
        ("deflate", zlib),
        ("deflate", deflate),
        ("br", brotli),
        ("zstd", zstd),
    ] {
        let stored = encode(&image);
        let cut = fetched(Some(header), stored[..stored.len() / 2].to_vec()).decoded(LIMIT).await.unwrap_err();
        let message = cut.to_string();
        assert!(matches!(cut, EncodingError::Truncated(_) | EncodingError::Corrupt { .. }), "{header}: {message}");
        assert!(message.contains(&format!("`{header}`")), "{message}");
        let limit = image.len() as u64;
        assert!(fetched(Some(header), stored.clone()).decoded(limit).await.is_ok(), "{header}");
        let over = fetched(Some(header), stored).decoded(limit - 1).await.unwrap_err();
        assert_eq!(over, EncodingError::TooLarge { encoding: header.to_owned(), limit: limit - 1 });
        assert_eq!(over.class(), FailureClass::TooLarge);
    }
    for header in ["compress", "x-lzma", "gzip, pack200", "gzip,gzip,gzip,gzip,gzip"] {
        let unknown = fetched(Some(header), gzip(b"no image")).decoded(LIMIT).await.unwrap_err();
        assert_eq!(unknown, EncodingError::Unsupported(header.to_owned()));
        assert!(unknown.to_string().contains(header) && unknown.class() == FailureClass::UnsupportedFormat);
    }
    let forged = fetched(Some("a\nb"), "x").decoded(LIMIT).await.unwrap_err().to_string();
    assert!(!forged.contains('\n'), "{forged}");
}

#[tokio::test]
async fn a_decompression_bomb_is_refused() {
    let zeros = vec![0; 64 << 20];
    let bomb = gzip(&gzip(&zeros));
    assert!(bomb.len() < 10_000, "{}", bomb.len());
    let refused = fetched(Some("gzip, gzip"), bomb).decoded(LIMIT).await.unwrap_err();
    assert_eq!(refused.class(), FailureClass::TooLarge);
}
