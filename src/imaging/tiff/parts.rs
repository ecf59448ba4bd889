//! Decompresses the strips or tiles of a TIFF page one by one.

use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom};

use tiff::decoder::{Decoder, Limits};
use tiff::{TiffError, TiffUnsupportedError};

use super::colours::to_bytes;
use super::jpeg_part;
use super::layout::{Compression, Layout, MAX_PARTS, corrupt};
use crate::domain::ImageFormat;
use crate::imaging::ImageError;
use crate::imaging::facts::tiff::{Directory, tags};

/// The tags whose values the crate reads while it opens a file. It has no limits yet, and keeps 32 bytes for each value that a
/// tag declares, up to 256 MB.
const READ_TAGS: [u16; 19] = [
    tags::WIDTH,
    tags::HEIGHT,
    tags::BITS,
    tags::COMPRESSION,
    tags::PHOTOMETRIC,
    tags::STRIP_OFFSETS,
    tags::SAMPLES,
    tags::ROWS_PER_STRIP,
    tags::STRIP_BYTES,
    tags::PLANAR,
    tags::PREDICTOR,
    tags::TILE_WIDTH,
    tags::TILE_HEIGHT,
    tags::TILE_OFFSETS,
    tags::TILE_BYTES,
    tags::EXTRA_SAMPLES,
    tags::SAMPLE_FORMAT,
    tags::JPEG_TABLES,
    tags::CHROMA_SUBSAMPLING,
];

/// Calls `take` with the place and the RGB of every row of every part. The parts can extend beyond the page.
pub(super) fn each_row(
    bytes: &[u8],
    page: &Directory<'_>,
    layout: &Layout<'_>,
    mut take: impl FnMut(usize, usize, &[u8]),
) -> Result<(), ImageError> {
    let ((across, down), (part_width, part_height)) = (layout.grid(), layout.part);
    let mut decoder = match layout.compression {
        Compression::Jpeg => None,
        Compression::Other => Some(open(bytes, page, layout)?),
    };
    let mut rgb = Vec::new();
    for part in 0..across * down {
        let (x, y) = (part % across * part_width as usize, part / across * part_height as usize);
        let width = (part_width as usize).min(layout.size.0 as usize - x);
        let height = (part_height as usize).min(layout.size.1 as usize - y);
        match &mut decoder {
            None => {
                let image = jpeg_part::decode(bytes, layout, part, (width, height))?;
                for (row, pixels) in image.as_raw().chunks_exact(image.width() as usize * 3).take(height).enumerate() {
                    take(x, y + row, &pixels[..width * 3]);
                }
            }
            Some(decoder) => {
                let samples = samples(decoder, layout, part, across * down, (width, height))?;
                for (row, samples) in samples.chunks_exact(width * layout.samples).take(height).enumerate() {
                    rgb.clear();
                    layout.colours.append_rgb(samples, layout.samples, &mut rgb);
                    take(x, y + row, &rgb);
                }
            }
        }
    }
    Ok(())
}

fn open<'a>(bytes: &'a [u8], page: &Directory<'_>, layout: &Layout<'_>) -> Result<Decoder<OnePage<'a>>, ImageError> {
    if page.largest_count(&READ_TAGS) > MAX_PARTS as u64 {
        return Err(corrupt("one of its tags has too many values"));
    }
    let mut limits = Limits::default();
    limits.decoding_buffer_size = usize::try_from(layout.part_bytes()).unwrap_or(usize::MAX);
    limits.intermediate_buffer_size = bytes.len();
    limits.ifd_value_size = bytes.len();
    Ok(Decoder::new(OnePage::new(bytes, page, layout)).map_err(explain)?.with_limits(limits))
}

/// Returns the samples of one part as bytes, all samples of a pixel together.
fn samples(
    decoder: &mut Decoder<OnePage<'_>>,
    layout: &Layout<'_>,
    part: usize,
    parts_per_plane: usize,
    (width, height): (usize, usize),
) -> Result<Vec<u8>, ImageError> {
    let mut read = |part: usize, samples: usize| {
        let part = u32::try_from(part).map_err(|_| corrupt("it has too many strips or tiles"))?;
        let bytes = to_bytes(decoder.read_chunk(part).map_err(explain)?);
        let bytes = unpacked(bytes, layout, width * samples, height);
        if bytes.len() < width * height * samples { Err(ImageError::truncated(ImageFormat::Tiff)) } else { Ok(bytes) }
    };
    if !layout.is_planar {
        return read(part, layout.samples);
    }
    let mut samples = vec![0; width * height * layout.samples];
    for plane in 0..layout.samples {
        let values = read(plane * parts_per_plane + part, 1)?;
        for (pixel, value) in samples.chunks_exact_mut(layout.samples).zip(values) {
            pixel[plane] = value;
        }
    }
    Ok(samples)
}

/// Returns samples of fewer than eight bits as bytes. Each row begins at a byte. Values are scaled to 255, unless they are
/// indexes.
fn unpacked(bytes: Vec<u8>, layout: &Layout<'_>, samples_per_row: usize, rows: usize) -> Vec<u8> {
    let bits = layout.bits as usize;
    if bits >= 8 {
        return bytes;
    }
    let mask = (1_u8 << bits) - 1;
    let scale = if layout.colours.has_palette() { 1 } else { u8::MAX / mask };
    let mut unpacked = Vec::with_capacity(samples_per_row * rows);
    for row in bytes.chunks((samples_per_row * bits).div_ceil(8).max(1)).take(rows) {
        let values = row.iter().flat_map(|byte| (0..8).step_by(bits).map(move |at| byte >> (8 - bits - at) & mask));
        unpacked.extend(values.take(samples_per_row).map(|value| value * scale));
    }
    unpacked
}

/// A file with only one page, whose samples are gray by its directory: the crate decompresses every kind of colours and
/// converts none, and it reads no other directory, whatever their order is.
struct OnePage<'a> {
    file: Cursor<&'a [u8]>,
    /// The places that are changed, and the bytes that are read there.
    changes: [(u64, Vec<u8>); 3],
}

impl<'a> OnePage<'a> {
    fn new(bytes: &'a [u8], page: &Directory<'_>, layout: &Layout<'_>) -> Self {
        const BLACK_IS_ZERO: u16 = 1;
        let is_little = bytes.first() == Some(&b'I');
        let gray = if is_little { BLACK_IS_ZERO.to_le_bytes() } else { BLACK_IS_ZERO.to_be_bytes() };
        let [first, next] = page.as_only_one();
        Self { file: Cursor::new(bytes), changes: [first, next, (layout.photometric_offset as u64, gray.to_vec())] }
    }
}

impl Read for OnePage<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from = self.file.position();
        let count = self.file.read(buffer)?;
        for (at, bytes) in &self.changes {
            for (at, byte) in (*at..).zip(bytes) {
                let place = at.checked_sub(from).and_then(|place| usize::try_from(place).ok());
                if let Some(read) = place.and_then(|place| buffer[..count].get_mut(place)) {
                    *read = *byte;
                }
            }
        }
        Ok(count)
    }
}

impl Seek for OnePage<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn explain(error: TiffError) -> ImageError {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::truncated(ImageFormat::Tiff)
        }
        TiffError::UnsupportedError(TiffUnsupportedError::UnsupportedCompressionMethod(method)) => {
            ImageError::coding(format!("a TIFF file with {method:?} compression"))
        }
        TiffError::UnsupportedError(error) => ImageError::coding(format!("a TIFF file ({error})")),
        TiffError::LimitsExceeded => corrupt("a strip or tile is larger than its directory says"),
        error => corrupt(error.to_string()),
    }
}
