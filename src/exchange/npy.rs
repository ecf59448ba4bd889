//! Reads arrays of NumPy (`.npy`, versions 1 to 3): two dimensions, little-endian floats of 16, 32 or 64 bits, row by row.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::{ExchangeError, MAX_DIMENSION};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Maximum bytes of the header, which has usually about a hundred.
const MAX_HEADER: usize = 64 << 10;

/// An array that is read row by row.
#[derive(Debug)]
pub(super) struct Npy {
    path: PathBuf,
    file: BufReader<File>,
    kind: Kind,
    rows: u64,
    columns: usize,
    read: u64,
    bytes: Vec<u8>,
}

/// The type of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    F16,
    F32,
    F64,
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    kind: Kind,
    rows: u64,
    columns: usize,
}

impl Npy {
    /// Opens a file, and checks its header and its length.
    pub(super) fn open(path: &Path) -> Result<Self, ExchangeError> {
        let file = File::open(path).map_err(ExchangeError::read(path))?;
        let length = file.metadata().map_err(ExchangeError::read(path))?.len();
        let wrong = |problem: String| ExchangeError::content(path, problem);
        let mut file = BufReader::new(file);
        let (header, begin) = read_header(&mut file).map_err(wrong)?;
        let Header { kind, rows, columns } = header;
        let row_bytes = columns * kind.bytes();
        let expected = rows.checked_mul(row_bytes as u64).and_then(|bytes| bytes.checked_add(begin));
        if expected != Some(length) {
            let expected = expected.map_or_else(|| "more than any file".to_owned(), |bytes| bytes.to_string());
            return Err(wrong(format!(
                "the array has {rows} rows of {columns} numbers, which need {expected} bytes, but the file has {length}"
            )));
        }
        Ok(Self { path: path.to_owned(), file, kind, rows, columns, read: 0, bytes: vec![0; row_bytes] })
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the number of columns.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the next row, or `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Vec<f32>>, ExchangeError> {
        if self.read == self.rows {
            return Ok(None);
        }
        self.file.read_exact(&mut self.bytes).map_err(ExchangeError::read(&self.path))?;
        self.read += 1;
        let numbers = self.bytes.chunks_exact(self.kind.bytes());
        Ok(Some(match self.kind {
            Kind::F16 => numbers.map(|number| f16_to_f32(u16::from_le_bytes(array(number)))).collect(),
            Kind::F32 => numbers.map(|number| f32::from_le_bytes(array(number))).collect(),
            #[expect(clippy::cast_possible_truncation, reason = "vectors are stored as f32")]
            Kind::F64 => numbers.map(|number| f64::from_le_bytes(array(number)) as f32).collect(),
        }))
    }
}

/// Returns a slice of the right length as an array.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

/// Converts a number of 16 bits (IEEE 754 binary16).
fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let (exponent, fraction) = (u32::from(half >> 10 & 0x1f), u32::from(half & 0x3ff));
    match (exponent, fraction) {
        (0, 0) => f32::from_bits(sign),
        (0, fraction) => {
            // Subnormal: a multiple of 2^-24, which f32 represents exactly.
            #[expect(clippy::cast_precision_loss, reason = "at most ten bits")]
            let value = fraction as f32 * 2_f32.powi(-24);
            f32::from_bits(sign | value.to_bits())
        }
        (0x1f, fraction) => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        (exponent, fraction) => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// Reads magic, version and header. Returns also where the data begins.
fn read_header(file: &mut impl Read) -> Result<(Header, u64), String> {
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(|_| "the file is too short for a .npy file".to_owned())?;
    if start[..6] != *MAGIC {
        return Err("it is not a .npy file: it does not begin with \\x93NUMPY".to_owned());
    }
    let short = |_| "the file ends in its header".to_owned();
    let (length, before) = match start[6] {
        1 => {
            let mut length = [0; 2];
            file.read_exact(&mut length).map_err(short)?;
            (usize::from(u16::from_le_bytes(length)), 10)
        }
        2 | 3 => {
            let mut length = [0; 4];
            file.read_exact(&mut length).map_err(short)?;
            (u32::from_le_bytes(length) as usize, 12)
        }
        version => return Err(format!("it has version {version} of the .npy format; 1, 2 and 3 can be read")),
    };
    if length > MAX_HEADER {
        return Err(format!("its header has {length} bytes; at most {MAX_HEADER} are allowed"));
    }
    let mut header = vec![0; length];
    file.read_exact(&mut header).map_err(short)?;
    let text = String::from_utf8(header).map_err(|_| "its header is not text".to_owned())?;
    Ok((parse_header(&text)?, (before + length) as u64))
}

/// Parses the header, a literal of a dict of Python: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 512), }`.
fn parse_header(text: &str) -> Result<Header, String> {
    let mut reader = Literal(text.trim());
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    reader.expect('{')?;
    while !reader.eat('}') {
        let key = reader.string()?;
        reader.expect(':')?;
        match key.as_str() {
            "descr" => descr = Some(reader.string()?),
            "fortran_order" => fortran = Some(reader.boolean()?),
            "shape" => shape = Some(reader.numbers()?),
            other => return Err(format!("its header has the unknown key `{}`", shortened(other))),
        }
        if !reader.eat(',') {
            reader.expect('}')?;
            break;
        }
    }
    let kind = match descr.ok_or("its header has no `descr`")?.as_str() {
        "<f2" => Kind::F16,
        "<f4" => Kind::F32,
        "<f8" => Kind::F64,
        other => {
            let other = shortened(other);
            return Err(format!("its numbers have the type `{other}`; `<f2`, `<f4` and `<f8` can be read"));
        }
    };
    if fortran.ok_or("its header has no `fortran_order`")? {
        return Err(
            "its numbers are ordered by columns (fortran_order); save it with numpy.ascontiguousarray".to_owned()
        );
    }
    let shape = shape.ok_or("its header has no `shape`")?;
    let &[rows, columns] = shape.as_slice() else {
        return Err(format!("it has {} dimensions; 2 are needed: one row for each image", shape.len()));
    };
    let columns = usize::try_from(columns).ok().filter(|columns| (1..=MAX_DIMENSION).contains(columns));
    let columns = columns.ok_or_else(|| format!("its rows must have 1 to {MAX_DIMENSION} numbers"))?;
    Ok(Header { kind, rows, columns })
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The rest of a literal of Python.
struct Literal<'a>(&'a str);

impl Literal<'_> {
    fn eat(&mut self, token: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("its header is damaged: `{token}` is missing")) }
    }

    fn string(&mut self) -> Result<String, String> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|quote| ['\'', '"'].contains(quote));
        let ended = quote.and_then(|quote| text[1..].split_once(quote));
        let (string, rest) = ended.ok_or("its header is damaged: a text in quotes is missing")?;
        let string = string.to_owned();
        self.0 = rest;
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        let text = self.0.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = text.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err("its header is damaged: `True` or `False` is missing".to_owned())
    }

    fn numbers(&mut self) -> Result<Vec<u64>, String> {
        let mut numbers = Vec::new();
        self.expect('(')?;
        while !self.eat(')') {
            let text = self.0.trim_start();
            let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
            let number = text[..end].parse().map_err(|_| "its header is damaged: a number is missing".to_owned())?;
            numbers.push(number);
            if numbers.len() > 32 {
                return Err("its header has too many dimensions".to_owned());
            }
            // Python 2 wrote `3L`.
            self.0 = text[end..].strip_prefix('L').unwrap_or(&text[end..]);
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
