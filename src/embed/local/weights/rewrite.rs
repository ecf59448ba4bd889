//! The ONNX file with other names for the files of its weights.

use std::collections::HashMap;

use prost::Message;

use super::{DATA_LOCATION, EXTERNAL_DATA, Entry, Error, IS_EXTERNAL, Kind};

/// A file of weights as the model is to know it.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) name: String,
    /// Bytes of the file.
    pub(super) size: u64,
}

/// The message with each location replaced by its alias. `offset` and `length`, which a file may leave out, are always
/// said; other entries are left out.
pub(super) fn renamed(onnx: &[u8], aliases: &HashMap<String, Alias>) -> Result<Vec<u8>, Error> {
    message(Kind::Model, onnx, aliases)
}

fn torn() -> Error {
    Error::Unreadable("it is not a whole ONNX file".to_owned())
}

/// Recursion ends: the same bytes were scanned before, which bounds their depth.
fn message(kind: Kind, bytes: &[u8], aliases: &HashMap<String, Alias>) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let (mut entries, mut is_external) = (Vec::new(), false);
    let mut rest = bytes;
    while !rest.is_empty() {
        let before = rest;
        let key = varint(&mut rest)?;
        let (field, wire) = (key >> 3, key & 7);
        let body = match wire {
            0 => {
                let value = varint(&mut rest)?;
                is_external |= kind == Kind::Tensor && field == DATA_LOCATION && value == IS_EXTERNAL;
                None
            }
            1 => Some(take(&mut rest, 8)?),
            5 => Some(take(&mut rest, 4)?),
            2 => {
                let length = varint(&mut rest)?;
                Some(take(&mut rest, length)?)
            }
            _ => return Err(torn()),
        };
        let whole = &before[..before.len() - rest.len()];
        match (kind.child(field), body) {
            (Some(child), Some(body)) if wire == 2 => put(&mut out, field, &message(child, body, aliases)?),
            (None, Some(body)) if wire == 2 && kind == Kind::Tensor && field == EXTERNAL_DATA => {
                entries.push((Entry::decode(body).map_err(|_| torn())?, whole));
            }
            _ => out.extend_from_slice(whole),
        }
    }
    if is_external {
        for entry in external(&entries.iter().map(|(entry, _)| entry), aliases)? {
            put(&mut out, EXTERNAL_DATA, &entry.encode_to_vec());
        }
    } else {
        for (_, whole) in &entries {
            out.extend_from_slice(whole);
        }
    }
    Ok(out)
}

fn external<'a>(
    entries: &(impl Iterator<Item = &'a Entry> + Clone),
    aliases: &HashMap<String, Alias>,
) -> Result<[Entry; 3], Error> {
    let of = |key: &str| entries.clone().filter(|entry| entry.key == key).last().map(|entry| entry.value.as_str());
    let alias = of("location").and_then(|location| aliases.get(location)).ok_or_else(torn)?;
    let number = |key: &str, default: u64| {
        let wrong = |value: &str| Error::Unreadable(format!("the {key} of external data is `{value:.40}`"));
        of(key).map_or(Ok(default), |value| value.trim().parse::<u64>().map_err(|_| wrong(value)))
    };
    let offset = number("offset", 0)?;
    let length = number("length", alias.size.saturating_sub(offset))?;
    let entry = |key: &str, value: String| Entry { key: key.to_owned(), value };
    Ok([
        entry("location", alias.name.clone()),
        entry("offset", offset.to_string()),
        entry("length", length.to_string()),
    ])
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Error> {
    prost::decode_length_delimiter(bytes).map(|value| value as u64).map_err(|_| torn())
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Result<&'a [u8], Error> {
    let (taken, rest) = usize::try_from(count).ok().and_then(|count| bytes.split_at_checked(count)).ok_or_else(torn)?;
    *bytes = rest;
    Ok(taken)
}

/// A length-delimited field.
fn put(out: &mut Vec<u8>, field: u64, body: &[u8]) {
    for number in [usize::try_from((field << 3) | 2).unwrap_or_default(), body.len()] {
        // Into a vector, which has always room.
        prost::encode_length_delimiter(number, out).unwrap_or_default();
    }
    out.extend_from_slice(body);
}
