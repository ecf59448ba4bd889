//! Maps PNG images with PQ or HLG brightness to sRGB, as the chunks cICP and cLLI describe them (PNG, third edition).

use png::BitDepth;

use crate::imaging::facts::walk::png_chunks;
use crate::imaging::flatten::blend;
use crate::imaging::tone::{Hdr, ToneMapping, Transfer};

/// Returns the mapping of the samples of an HDR image; `None` if the image is not HDR.
pub(crate) fn tone_mapping(bytes: &[u8], depth: BitDepth) -> Option<ToneMapping> {
    read(bytes).map(|hdr| ToneMapping::new(hdr, if depth == BitDepth::Sixteen { 16 } else { 8 }))
}

fn read(bytes: &[u8]) -> Option<Hdr> {
    let (mut space, mut max_light) = (None, None);
    for (kind, data) in png_chunks(bytes) {
        match (kind, data) {
            (b"cICP", &[primaries, transfer, 0, 1, ..]) => space = Some((primaries, transfer_of(transfer)?)),
            (b"cLLI", data) => max_light = data.first_chunk().and_then(|light| to_candelas(*light)),
            (b"IDAT" | b"IEND", _) => break,
            _ => {}
        }
    }
    let (primaries, transfer) = space?;
    Some(Hdr { transfer, primaries: primaries.into(), max_light })
}

fn transfer_of(code: u8) -> Option<Transfer> {
    match code {
        16 => Some(Transfer::Pq),
        18 => Some(Transfer::Hlg),
        _ => None,
    }
}

/// Returns whole cd/m2 of a number in units of 0.0001 cd/m2; zero means that the light is not known.
fn to_candelas(light: [u8; 4]) -> Option<u16> {
    u16::try_from(u32::from_be_bytes(light) / 10_000).ok().filter(|&light| light > 0)
}

/// Converts samples, `channels` for each pixel, to RGB over white.
pub(crate) fn to_srgb(samples: &[u8], channels: usize, is_deep: bool, tone: &ToneMapping) -> Vec<u8> {
    let size = if is_deep { 2 } else { 1 };
    let sample = |pixel: &[u8], at: usize| match *pixel.get(at * size..(at + 1) * size).unwrap_or_default() {
        [high, low] => u16::from_be_bytes([high, low]),
        [byte] => byte.into(),
        _ => 0,
    };
    let mut rgb = Vec::with_capacity(samples.len() / (channels * size) * 3);
    for pixel in samples.chunks_exact(channels * size) {
        let colour = if channels < 3 { [sample(pixel, 0); 3] } else { [0, 1, 2].map(|at| sample(pixel, at)) };
        let alpha = if channels.is_multiple_of(2) { pixel[(channels - 1) * size] } else { u8::MAX };
        rgb.extend(tone.to_srgb(colour).map(|value| blend(value, alpha)));
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = vec![0; 8];
        for (kind, data) in chunks {
            file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            file.extend([&kind[..], data, &[0; 4]].concat());
        }
        file
    }

    #[test]
    fn only_full_range_pq_and_hlg_are_hdr() {
        let pq: (&[u8; 4], &[u8]) = (b"cICP", &[9, 16, 0, 1]);
        let light: (&[u8; 4], &[u8]) = (b"cLLI", &[0, 0x3D, 0x09, 0, 0, 0, 0, 0]);
        let hdr = |transfer, primaries, max_light| Some(Hdr { transfer, primaries, max_light });
        assert_eq!(read(&png(&[pq])), hdr(Transfer::Pq, 9, None));
        assert_eq!(read(&png(&[light, pq])), hdr(Transfer::Pq, 9, Some(400)));
        assert_eq!(read(&png(&[(b"cICP", &[12, 18, 0, 1])])), hdr(Transfer::Hlg, 12, None));
        for other in [[9, 16, 0, 0], [9, 16, 9, 1], [1, 13, 0, 1]] {
            assert_eq!(read(&png(&[(b"cICP", &other)])), None, "{other:?}");
        }
        assert_eq!(read(&png(&[(b"IDAT", &[]), pq])), None);
    }

    #[test]
    fn every_kind_of_samples_is_mapped() {
        let tone = |bits| ToneMapping::new(Hdr { transfer: Transfer::Pq, primaries: 1, max_light: Some(203) }, bits);
        // 203 cd/m2 is white.
        assert!(to_srgb(&[148], 1, false, &tone(8)).iter().all(|&value| value > 250));
        let deep = to_srgb(&[148, 148, 0xFF, 0xFF, 0, 0, 0x80, 0], 2, true, &tone(16));
        assert_eq!((deep.len(), deep[3..].to_vec()), (6, vec![127; 3]), "black, half transparent: {deep:?}");
        let red = to_srgb(&[130, 0, 0, 0], 4, false, &tone(8));
        assert_eq!(red, [255; 3], "transparent");
        let red = to_srgb(&[130, 0, 0], 3, false, &tone(8));
        assert!(red[0] > 180 && red[1] == 0, "{red:?}");
    }
}
