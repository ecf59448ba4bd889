//! Files that are changed at random: no panic reaches the caller, and no decode takes long. A truncated file is
//! refused or gives the whole image, never one whose lower half is missing.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use glimpse::imaging::{Limits, Preprocessing, UprightImage, decode_upright, prepare};
use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, Frame, ImageFormat, Rgba, RgbaImage};

/// Small: images that claim to be large cost time and test nothing else.
const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 22, max_decode_bytes: 1 << 26 };
/// A debug build needs some seconds for 40 megapixels.
const MAX_TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 2 });
const MUTANTS: u64 = 400;
/// The same for the files of `tests/data/formats`, which are larger.
const MUTANTS_OF_FORMATS: u64 = 100;
/// The same for the files of decoders that are built with few optimisations in debug builds.
const MUTANTS_OF_SLOW_FORMATS: u64 = 40;
/// Number of lengths to which a file is cut, apart from the last 100.
const CUTS: usize = 150;
/// The same for the files of slow decoders, of which the last 100 are not all tried.
const CUTS_OF_SLOW_FORMATS: usize = 40;

/// xorshift64*, seeded by a name, so that every run changes the same bytes.
struct Rng(u64);

impl Rng {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % below.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next(256)).unwrap()
    }
}

/// Edges and a gradient, so that every coding is exercised.
fn pattern() -> RgbaImage {
    RgbaImage::from_fn(67, 49, |x, y| {
        let [x, y] = [x, y].map(|it| u8::try_from(it).unwrap());
        let edge = if (x / 9 + y / 7) % 2 == 0 { 200 } else { 30 };
        Rgba([x * 3, y * 5, edge, 255 - x])
    })
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// Files that are made here, and files of `zarf/golden/make.py` and `zarf/golden/formats.py`.
fn subjects() -> Vec<(&'static str, Vec<u8>)> {
    let opaque = DynamicImage::ImageRgba8(pattern()).into_rgb8();
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 80).encode_image(&opaque).unwrap();
    let mut animation = Vec::new();
    let mut gif = GifEncoder::new(&mut animation);
    gif.encode_frames([pattern(), pattern()].map(Frame::new)).unwrap();
    drop(gif);
    let mut subjects = vec![
        ("baseline.jpg", jpeg),
        ("plain.png", encoded(pattern(), ImageFormat::Png)),
        ("lossless.webp", encoded(pattern(), ImageFormat::WebP)),
        ("animation.gif", animation),
        ("progressive.jpg", include_bytes!("../../data/mutation/progressive.jpg").to_vec()),
        ("restarts.jpg", include_bytes!("../../data/mutation/restarts.jpg").to_vec()),
        ("cmyk.jpg", include_bytes!("../../data/mutation/cmyk.jpg").to_vec()),
        ("interlaced.png", include_bytes!("../../data/mutation/interlaced.png").to_vec()),
        ("palette.png", include_bytes!("../../data/mutation/palette.png").to_vec()),
        ("animated.png", include_bytes!("../../data/mutation/animated.png").to_vec()),
        ("lossy.webp", include_bytes!("../../data/mutation/lossy.webp").to_vec()),
        ("alpha.webp", include_bytes!("../../data/mutation/alpha.webp").to_vec()),
        ("animated.webp", include_bytes!("../../data/mutation/animated.webp").to_vec()),
    ];
    let formats = |name| (name, std::fs::read(super::formats::data().join(name)).unwrap());
    subjects.extend(FORMATS.map(formats));
    #[cfg(feature = "heic")]
    subjects.extend(HEIC.map(|(name, bytes)| (name, bytes.to_vec())));
    #[cfg(feature = "avif")]
    subjects.extend(AVIF.map(|(name, bytes)| (name, bytes.to_vec())));
    #[cfg(feature = "jxl")]
    subjects.extend(JXL.map(|(name, bytes)| (name, bytes.to_vec())));
    crate::support::decode_helper::install();
    subjects
}

/// Files of `tests/data/formats`.
const FORMATS: [&str; 17] = [
    "lzw.tif",
    "tiles-predictor.tif",
    "jpeg-strips.tif",
    "jpeg-tiles.tif",
    "palette.tif",
    "planes-tiles.tif",
    "group4.tif",
    "packbits-gray.tif",
    "floats.tif",
    "deep-turned.tif",
    "big-endian-bigtiff.tif",
    "8.bmp",
    "rle8.bmp",
    "1.bmp",
    "adobe.dng",
    "canon.cr3",
    "panasonic.rw2",
];

#[cfg(feature = "heic")]
const HEIC: [(&str, &[u8]); 4] = [
    ("plain.heic", include_bytes!("../../data/mutation/plain.heic")),
    ("alpha.heic", include_bytes!("../../data/mutation/alpha.heic")),
    ("ten-bits.heic", include_bytes!("../../data/mutation/ten-bits.heic")),
    ("hdr.heic", include_bytes!("../../data/mutation/hdr.heic")),
];

#[cfg(feature = "avif")]
const AVIF: [(&str, &[u8]); 3] = [
    ("plain.avif", include_bytes!("../../data/mutation/plain.avif")),
    ("alpha.avif", include_bytes!("../../data/mutation/alpha.avif")),
    ("hdr.avif", include_bytes!("../../data/mutation/hdr.avif")),
];

#[cfg(feature = "jxl")]
const JXL: [(&str, &[u8]); 2] = [
    ("lossy.jxl", include_bytes!("../../data/mutation/lossy.jxl")),
    ("alpha.jxl", include_bytes!("../../data/mutation/alpha.jxl")),
];

/// Approximate positions at which parts of a file begin: JPEG markers, PNG and WebP chunks, GIF blocks, boxes of HEIC and
/// CR3; of other files, the entries of a directory.
fn parts(bytes: &[u8]) -> Vec<usize> {
    if matches!(&bytes[..2], b"II" | b"MM" | b"BM") {
        return (10..bytes.len()).step_by(12).collect();
    }
    let begins = |at: usize| match bytes[0] {
        // A codestream of JPEG XL has no parts that begin with a byte.
        0xFF if bytes[1] == 0x0A => true,
        0xFF => bytes[at] == 0xFF && !matches!(bytes[at + 1], 0 | 0xFF),
        b'G' => matches!(bytes[at], 0x21 | 0x2C),
        _ => bytes[at..at + 4].iter().all(u8::is_ascii_alphabetic),
    };
    (2..bytes.len() - 4).filter(|&at| begins(at)).collect()
}

fn mutant(subject: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = subject.to_vec();
    let length = bytes.len();
    match rng.next(6) {
        0 => {
            for _ in 0..=rng.next(8) {
                bytes[rng.next(length)] ^= 1 << rng.next(8);
            }
        }
        // The positions of sizes and tables.
        1 => {
            let head = length.min(200);
            for _ in 0..=rng.next(4) {
                bytes[rng.next(head)] = [0, 1, 0x7F, 0x80, 0xFF, rng.byte()][rng.next(6)];
            }
        }
        2 => bytes.truncate(rng.next(length)),
        3 => {
            let (from, size) = (rng.next(length), rng.next(64));
            bytes.drain(from..(from + size).min(length));
        }
        4 => {
            let (at, from) = (rng.next(length), rng.next(other.len()));
            let until = (from + rng.next(512)).min(other.len());
            bytes.splice(at..(at + rng.next(64)).min(length), other[from..until].iter().copied());
        }
        _ => {
            let parts = parts(&bytes);
            let mut cuts = [0; 3].map(|_| parts[rng.next(parts.len())]);
            cuts.sort_unstable();
            bytes[cuts[0]..cuts[2]].rotate_left(cuts[1] - cuts[0]);
        }
    }
    // Corrects half of the checksums: otherwise nothing after them is reached.
    if bytes.starts_with(b"\x89PNG") && rng.next(2) == 0 {
        resum(&mut bytes);
    }
    bytes
}

fn resum(png: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = png.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(sum) = png.get(at + 4..at + 8 + length).map(crc32fast::hash) else { return };
        let Some(place) = png.get_mut(at + 8 + length..at + 12 + length) else { return };
        place.copy_from_slice(&sum.to_be_bytes());
        at += 12 + length;
    }
}

/// Returns the image, if there is one. Records a panic or a long wait, whether it is prepared or decoded completely.
fn check(name: &str, bytes: &[u8], wrong: &mut Vec<String>) -> Option<UprightImage> {
    let started = Instant::now();
    let image = catch_unwind(AssertUnwindSafe(|| {
        // A large square uses every pixel, small ones a half and a quarter of a JPEG.
        let prepared = [32, 8, 4].map(|size| prepare(bytes, &LIMITS, &Preprocessing::crop(size)).is_ok());
        (prepared, decode_upright(bytes, &LIMITS).ok())
    }));
    let took = started.elapsed();
    if took > MAX_TIME {
        wrong.push(format!("{name}: {took:?}"));
    }
    let Ok((prepared, image)) = image else {
        wrong.push(format!("{name}: a panic"));
        return None;
    };
    if prepared != [image.is_some(); 3] {
        wrong.push(format!("{name}: prepared: {prepared:?}, decoded: {}", image.is_some()));
    }
    image
}

/// Returns whether the decoder of the file is built with few optimisations in debug builds.
fn is_slow(name: &str) -> bool {
    matches!(name.rsplit('.').next(), Some("avif" | "jxl"))
}

#[test]
fn no_broken_file_panics_or_takes_long() {
    let (subjects, mut wrong, mut survivors) = (subjects(), Vec::new(), 0);
    for (place, (name, subject)) in subjects.iter().enumerate() {
        let mut own = Vec::new();
        assert!(check(name, subject, &mut own).is_some(), "{name}: {own:?}");
        let mutants = match name.rsplit('.').next() {
            Some("jpg" | "png" | "webp" | "gif") => MUTANTS,
            _ if is_slow(name) => MUTANTS_OF_SLOW_FORMATS,
            _ => MUTANTS_OF_FORMATS,
        };
        for seed in 1..=mutants {
            let mut rng = Rng(seed << 8 | u64::try_from(place + 1).unwrap());
            let other = &subjects[rng.next(subjects.len())].1;
            let bytes = mutant(subject, other, &mut rng);
            survivors += usize::from(check(&format!("{name}, seed {seed}"), &bytes, &mut wrong).is_some());
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(survivors > 100, "only few mutants were decoded: {survivors}");
}

#[test]
fn a_truncated_file_is_refused_or_complete() {
    let mut wrong = Vec::new();
    for (name, subject) in subjects() {
        let whole = check(name, &subject, &mut wrong).unwrap();
        // A small missing part matters most.
        let end = subject.len() - 100;
        let (cuts, step) = if is_slow(name) { (CUTS_OF_SLOW_FORMATS, 10) } else { (CUTS, 1) };
        let spread = (0..end).step_by((end / cuts).max(5));
        for cut in spread.chain((end..subject.len()).step_by(step)) {
            let name = format!("{name}, the first {cut} of {} bytes", subject.len());
            let image = check(&name, &subject[..cut], &mut wrong);
            if image.is_some_and(|image| image.rgb != whole.rgb) {
                wrong.push(format!("{name}: another image"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
