//! Rewrites an ONNX file with other names for the files of its weights.

use std::collections::HashMap;

use prost::Message;

use super::{DATA_LOCATION, EXTERNAL_DATA, Entry, Error, IS_EXTERNAL, Kind};

/// The new name of a file with weights.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) name: String,
    /// Size of the file in bytes.
    pub(super) size: u64,
}

/// Returns the message with each location replaced by its alias. Always writes `offset` and `length`, which are
/// optional in a file; other entries are removed.
pub(super) fn rename_locations(onnx: &[u8], aliases: &HashMap<String, Alias>) -> Result<Vec<u8>, Error> {
    rewrite_message(Kind::Model, onnx, aliases)
}

fn invalid_file() -> Error {
    Error::Unreadable("it is not a whole ONNX file".to_owned())
}

/// The recursion is limited, because `scan` has already checked the depth of the same bytes.
fn rewrite_message(kind: Kind, bytes: &[u8], aliases: &HashMap<String, Alias>) -> Result<Vec<u8>, Error> {
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
            _ => return Err(invalid_file()),
        };
        let field_bytes = &before[..before.len() - rest.len()];
        match (kind.child(field), body) {
            (Some(child), Some(body)) if wire == 2 => {
                write_field(&mut out, field, &rewrite_message(child, body, aliases)?);
            }
            (None, Some(body)) if wire == 2 && kind == Kind::Tensor && field == EXTERNAL_DATA => {
                entries.push((Entry::decode(body).map_err(|_| invalid_file())?, field_bytes));
            }
            _ => out.extend_from_slice(field_bytes),
        }
    }
    if is_external {
        for entry in external_entries(&entries.iter().map(|(entry, _)| entry), aliases)? {
            write_field(&mut out, EXTERNAL_DATA, &entry.encode_to_vec());
        }
    } else {
        for (_, field_bytes) in &entries {
            out.extend_from_slice(field_bytes);
        }
    }
    Ok(out)
}

fn external_entries<'a>(
    entries: &(impl Iterator<Item = &'a Entry> + Clone),
    aliases: &HashMap<String, Alias>,
) -> Result<[Entry; 3], Error> {
    let value_of =
        |key: &str| entries.clone().filter(|entry| entry.key == key).last().map(|entry| entry.value.as_str());
    let alias = value_of("location").and_then(|location| aliases.get(location)).ok_or_else(invalid_file)?;
    let number = |key: &str, default: u64| {
        let invalid = |value: &str| Error::Unreadable(format!("the {key} of external data is `{value:.40}`"));
        value_of(key).map_or(Ok(default), |value| value.trim().parse::<u64>().map_err(|_| invalid(value)))
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
    prost::decode_length_delimiter(bytes).map(|value| value as u64).map_err(|_| invalid_file())
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Result<&'a [u8], Error> {
    let (head, rest) =
        usize::try_from(count).ok().and_then(|count| bytes.split_at_checked(count)).ok_or_else(invalid_file)?;
    *bytes = rest;
    Ok(head)
}

/// Writes a length-delimited field.
fn write_field(out: &mut Vec<u8>, field: u64, body: &[u8]) {
    for number in [usize::try_from((field << 3) | 2).unwrap_or_default(), body.len()] {
        // Writing into a vector cannot fail.
        prost::encode_length_delimiter(number, out).unwrap_or_default();
    }
    out.extend_from_slice(body);
}
