//! Reads Parquet files with the columns `uri` and `vector`, and optionally `payload`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parquet::record::Field;
use serde_json::value::RawValue;

use super::rows::{NoVector, Rows, text, vector};
use super::write::{PROPERTY_PREFIX, Property};
use super::{ExchangeError, FORMAT_VERSION, FileHeader, FileImage, MAX_DIMENSION, MAX_PAYLOAD, MAX_URI};

/// The images of one file.
pub struct ParquetImages {
    path: PathBuf,
    rows: Rows,
    header: FileHeader,
    count: u64,
}

/// The columns that are read.
const COLUMNS: [&str; 3] = ["uri", "vector", "payload"];

impl std::fmt::Debug for ParquetImages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetImages").field("path", &self.path).field("count", &self.count).finish_non_exhaustive()
    }
}

impl ParquetImages {
    /// Opens a file and checks its columns.
    ///
    /// # Errors
    /// [`ExchangeError`] if it cannot be read, or has not the columns `uri` and `vector`, or if `vector` has another type.
    pub fn open(path: &Path) -> Result<Self, ExchangeError> {
        let (rows, facts) = Rows::open(path, Some(&COLUMNS))?;
        for column in ["uri", "vector"] {
            if !facts.columns.iter().any(|name| name == column) {
                let shown: Vec<_> = facts.columns.iter().take(20).map(String::as_str).collect();
                let problem = format!("it has no column `{column}`; its columns are {}", shown.join(", "));
                return Err(ExchangeError::content(path, problem));
            }
        }
        let header = header(path, &facts.properties)?;
        let mut images = Self { path: path.to_owned(), rows, header, count: facts.rows };
        let first = images.first_dimension()?;
        if images.header.dimension == 0 {
            images.header.dimension = first;
        }
        (images.rows, _) = Rows::open(path, Some(&COLUMNS))?;
        Ok(images)
    }

    /// Returns the size of the first vector of a row that can be imported; 0 without one.
    fn first_dimension(&mut self) -> Result<usize, ExchangeError> {
        loop {
            match self.read_next() {
                Ok(image) => return Ok(image.map_or(0, |image| image.vector.len())),
                Err(ExchangeError::Row { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns what all vectors have in common. The size is 0 if the file does not name it and no row can be imported.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// Returns the number of images.
    pub fn total(&self) -> u64 {
        self.count
    }

    fn read_next(&mut self) -> Result<Option<FileImage>, ExchangeError> {
        let Some((number, row)) = self.rows.next_row()? else { return Ok(None) };
        let mut fields: BTreeMap<String, Field> = row.into_columns().into_iter().collect();
        let wrong = |problem: String| ExchangeError::row(&self.path, number, problem);
        let uri = fields.get("uri").and_then(text).unwrap_or_default();
        if uri.len() > MAX_URI {
            return Err(wrong(format!("its `uri` has {} bytes; at most {MAX_URI} are allowed", uri.len())));
        }
        let numbers = vector(&fields.remove("vector").unwrap_or(Field::Null)).map_err(|problem| match problem {
            NoVector::OtherType => ExchangeError::content(&self.path, "its column `vector` is not a list of floats"),
            NoVector::Row(problem) => wrong(format!("its `vector` {problem}")),
        })?;
        if !(1..=MAX_DIMENSION).contains(&numbers.len()) {
            let problem = format!("its `vector` has {} numbers; 1 to {MAX_DIMENSION} are allowed", numbers.len());
            return Err(wrong(problem));
        }
        let payload = match fields.get("payload").and_then(text) {
            Some(payload) if payload.len() > MAX_PAYLOAD => {
                let problem = format!("its `payload` has {} bytes; at most {MAX_PAYLOAD} are allowed", payload.len());
                return Err(wrong(problem));
            }
            Some(payload) if !payload.is_empty() => {
                let parsed = RawValue::from_string(payload);
                Some(parsed.map_err(|error| wrong(format!("its `payload` is not JSON: {error}")))?)
            }
            Some(_) | None => None,
        };
        Ok(Some(FileImage { row: number, uri, vector: numbers, payload, meta: BTreeMap::new() }))
    }
}

impl Iterator for ParquetImages {
    type Item = Result<FileImage, ExchangeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}

/// Reads what this version writes into the properties of a file. A file of another program has none of it.
fn header(path: &Path, properties: &[(String, String)]) -> Result<FileHeader, ExchangeError> {
    let find = |property: Property| {
        let name = format!("{PROPERTY_PREFIX}{}", property.name());
        properties.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    };
    let wrong = |property: Property| {
        ExchangeError::content(path, format!("its property {PROPERTY_PREFIX}{} is damaged", property.name()))
    };
    if let Some(version) = find(Property::FormatVersion) {
        let version: u32 = version.parse().map_err(|_| wrong(Property::FormatVersion))?;
        if version > FORMAT_VERSION {
            let problem = format!(
                "it was written by a newer version of Glimpse: it has version {version} of the format, and this program \
                 reads {FORMAT_VERSION}"
            );
            return Err(ExchangeError::content(path, problem));
        }
    }
    let number = |property: Property| find(property).map(str::parse::<u32>).transpose().map_err(|_| wrong(property));
    let space = find(Property::Space).map(serde_json::from_str).transpose().map_err(|_| wrong(Property::Space))?;
    Ok(FileHeader {
        collection: find(Property::Collection).map(str::to_owned),
        generation: number(Property::Generation)?,
        model: find(Property::Model).map(str::to_owned),
        dimension: number(Property::Dimension)?.unwrap_or_default() as usize,
        space,
    })
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
