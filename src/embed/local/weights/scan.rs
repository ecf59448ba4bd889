//! Finds the locations without reading the weights, because an ONNX file may contain gigabytes of weights.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};

use prost::Message;

use super::{DATA_LOCATION, EXTERNAL_DATA, Entry, Error, IS_EXTERNAL, Kind, MAX_FILES, inside};

/// Maximum depth of nested messages, far above any export.
const MAX_DEPTH: usize = 64;
/// Maximum entries of `external_data`: `location`, `offset`, `length`, `checksum` and extensions.
const MAX_ENTRIES: usize = 32;
/// Maximum size of an entry: a location with its key.
const MAX_ENTRY_BYTES: u64 = 1_024 + 64;

/// The bytes of a protobuf message, read in one pass.
pub(super) struct Input<R> {
    bytes: BufReader<R>,
    pub(super) position: u64,
    pub(super) end: u64,
}

impl<R: Read + io::Seek> Input<R> {
    pub(super) fn new(mut bytes: R) -> io::Result<Self> {
        let end = bytes.seek(io::SeekFrom::End(0))?;
        bytes.rewind()?;
        Ok(Self { bytes: BufReader::with_capacity(8 * 1024, bytes), position: 0, end })
    }

    pub(super) fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.fill_buf()?.first().ok_or(io::ErrorKind::UnexpectedEof)?;
            self.bytes.consume(1);
            self.position += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(invalid_file())
    }

    pub(super) fn skip(&mut self, count: u64) -> io::Result<()> {
        self.bytes.seek_relative(i64::try_from(count).map_err(|_| invalid_file())?)?;
        self.position += count;
        Ok(())
    }

    pub(super) fn read_exact(&mut self, count: u64, max: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(count).ok().filter(|_| count <= max).ok_or_else(invalid_file)?;
        let mut bytes = vec![0; length];
        self.bytes.read_exact(&mut bytes)?;
        self.position += count;
        Ok(bytes)
    }
}

pub(super) fn invalid_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is not a whole ONNX file")
}

/// Returns the locations as written in the file, each with its path.
pub(super) fn locations<R: Read + io::Seek>(input: &mut Input<R>) -> Result<Vec<(String, String)>, Error> {
    let mut found = Found::default();
    let end = input.end;
    scan_message(input, Kind::Model, end, 0, &mut found)?;
    Ok(found.list)
}

#[derive(Default)]
struct Found {
    list: Vec<(String, String)>,
    locations: HashSet<String>,
}

impl Found {
    fn add(&mut self, location: String) -> Result<(), Error> {
        if self.locations.contains(&location) {
            return Ok(());
        }
        if self.list.len() == MAX_FILES {
            return Err(Error::Location(format!("it keeps weights in more than {MAX_FILES} files")));
        }
        let path = inside(&location)?;
        self.locations.insert(location.clone());
        self.list.push((location, path));
        Ok(())
    }
}

fn scan_message<R: Read + io::Seek>(
    input: &mut Input<R>,
    kind: Kind,
    end: u64,
    depth: usize,
    found: &mut Found,
) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(invalid_file().into());
    }
    let (mut entries, mut is_external) = (Vec::new(), false);
    while input.position < end {
        let key = input.varint()?;
        let (field, wire) = (key >> 3, key & 7);
        match wire {
            0 => {
                let value = input.varint()?;
                is_external |= kind == Kind::Tensor && field == DATA_LOCATION && value == IS_EXTERNAL;
            }
            1 => input.skip(8)?,
            5 => input.skip(4)?,
            2 => {
                let length = input.varint()?;
                let field_end = input
                    .position
                    .checked_add(length)
                    .filter(|field_end| *field_end <= end)
                    .ok_or_else(invalid_file)?;
                if let Some(child) = kind.child(field) {
                    scan_message(input, child, field_end, depth + 1, found)?;
                } else if kind == Kind::Tensor && field == EXTERNAL_DATA && entries.len() < MAX_ENTRIES {
                    entries
                        .push(Entry::decode(&*input.read_exact(length, MAX_ENTRY_BYTES)?).map_err(|_| invalid_file())?);
                } else {
                    input.skip(length)?;
                }
            }
            _ => return Err(invalid_file().into()),
        }
    }
    if input.position != end {
        return Err(invalid_file().into());
    }
    match entries.into_iter().rfind(|entry| entry.key == "location") {
        Some(location) if is_external => found.add(location.value),
        Some(_) | None => Ok(()),
    }
}
