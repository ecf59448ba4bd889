//! Writes Parquet files: one row for each image, with the columns `id`, `uri`, `vector` and `payload`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::{ExchangeError, FORMAT_VERSION, FileHeader};

/// The begin of the names of our properties.
pub(super) const PROPERTY_PREFIX: &str = "glimpse.";
/// The columns. A list of floats has three levels, as the specification of Parquet says.
const SCHEMA: &str = "message glimpse {
    required binary id (UTF8);
    required binary uri (UTF8);
    required group vector (LIST) { repeated group list { required float element; } }
    required binary payload (UTF8);
}";
/// Rows of a group, which are in memory before they are written.
const MAX_ROWS: usize = 10_000;
/// Bytes of the vectors of a group, for long vectors.
const MAX_VECTOR_BYTES: usize = 64 << 20;

/// The properties of a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Property {
    FormatVersion,
    Collection,
    Generation,
    Model,
    Dimension,
    Distance,
    Space,
}

impl Property {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FormatVersion => "format_version",
            Self::Collection => "collection",
            Self::Generation => "generation",
            Self::Model => "model",
            Self::Dimension => "dimension",
            Self::Distance => "distance",
            Self::Space => "space",
        }
    }
}

/// Where a file is written.
enum Output {
    File(File),
    /// Such as standard output.
    Stream(Box<dyn Write + Send>),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

/// Writes images to a new file or to a stream. The file is complete only after [`ParquetWriter::finish`].
pub struct ParquetWriter {
    path: PathBuf,
    file: SerializedFileWriter<Output>,
    dimension: usize,
    ids: Vec<ByteArray>,
    uris: Vec<ByteArray>,
    vectors: Vec<f32>,
    payloads: Vec<ByteArray>,
}

impl std::fmt::Debug for ParquetWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ParquetWriter {
    /// Creates the file, which must not exist.
    ///
    /// # Errors
    /// [`ExchangeError::Write`]
    pub fn create(path: &Path, header: &FileHeader) -> Result<Self, ExchangeError> {
        let file = File::create_new(path).map_err(|source| ExchangeError::Write { path: path.to_owned(), source })?;
        Self::new(path, Output::File(file), header)
    }

    /// Begins to write to a stream; `name` names it in errors. A reader needs the end, which [`ParquetWriter::finish`] writes.
    ///
    /// # Errors
    /// [`ExchangeError::Write`]
    pub fn to_stream(name: &str, stream: Box<dyn Write + Send>, header: &FileHeader) -> Result<Self, ExchangeError> {
        Self::new(Path::new(name), Output::Stream(stream), header)
    }

    fn new(path: &Path, output: Output, header: &FileHeader) -> Result<Self, ExchangeError> {
        let begin = || {
            let schema = Arc::new(parse_message_type(SCHEMA)?);
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_dictionary_enabled(false)
                .set_statistics_enabled(EnabledStatistics::None)
                .set_created_by(format!("glimpse {}", env!("CARGO_PKG_VERSION")))
                .set_key_value_metadata(Some(properties(header)))
                .build();
            SerializedFileWriter::new(output, schema, Arc::new(properties))
        };
        let file = begin().map_err(|error| write_error(path, error))?;
        let (ids, uris, vectors, payloads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { path: path.to_owned(), file, dimension: header.dimension, ids, uris, vectors, payloads })
    }

    /// Adds an image. Its vector must have the size that the header names.
    ///
    /// # Errors
    /// [`ExchangeError::Write`] if a group of rows cannot be written, [`ExchangeError::Content`] for another size.
    pub fn push(&mut self, id: &str, uri: &str, vector: &[f32], payload: &str) -> Result<(), ExchangeError> {
        if vector.len() != self.dimension || vector.is_empty() {
            let problem = format!("the vector of {uri} has {} numbers and not {}", vector.len(), self.dimension);
            return Err(ExchangeError::content(&self.path, problem));
        }
        self.ids.push(ByteArray::from(id));
        self.uris.push(ByteArray::from(uri));
        self.vectors.extend_from_slice(vector);
        self.payloads.push(ByteArray::from(payload));
        if self.ids.len() >= MAX_ROWS || self.vectors.len() * size_of::<f32>() >= MAX_VECTOR_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes the rest and the end of the file, and waits until the disk has them.
    ///
    /// # Errors
    /// [`ExchangeError::Write`]
    pub fn finish(mut self) -> Result<(), ExchangeError> {
        self.write_group()?;
        let output = self.file.into_inner().map_err(|error| write_error(&self.path, error))?;
        let written = match output {
            Output::File(file) => file.sync_all(),
            Output::Stream(mut stream) => stream.flush(),
        };
        written.map_err(|source| ExchangeError::Write { path: self.path, source })
    }

    fn write_group(&mut self) -> Result<(), ExchangeError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        self.try_write_group().map_err(|error| write_error(&self.path, error))?;
        self.ids.clear();
        self.uris.clear();
        self.vectors.clear();
        self.payloads.clear();
        Ok(())
    }

    fn try_write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        let mut number = 0;
        while let Some(mut column) = group.next_column()? {
            match number {
                0 => column.typed::<ByteArrayType>().write_batch(&self.ids, None, None)?,
                1 => column.typed::<ByteArrayType>().write_batch(&self.uris, None, None)?,
                2 => {
                    // The first number of a vector begins a row.
                    let defined = vec![1; self.vectors.len()];
                    let repeated: Vec<i16> =
                        (0..self.vectors.len()).map(|at| i16::from(at % self.dimension != 0)).collect();
                    column.typed::<FloatType>().write_batch(&self.vectors, Some(&defined), Some(&repeated))?
                }
                _ => column.typed::<ByteArrayType>().write_batch(&self.payloads, None, None)?,
            };
            column.close()?;
            number += 1;
        }
        group.close().map(drop)
    }
}

fn properties(header: &FileHeader) -> Vec<KeyValue> {
    let FileHeader { collection, generation, model, dimension, space } = header;
    let space = space.as_ref().and_then(|space| serde_json::to_string(space).ok());
    let all = [
        (Property::FormatVersion, Some(FORMAT_VERSION.to_string())),
        (Property::Collection, collection.clone()),
        (Property::Generation, generation.map(|number| number.to_string())),
        (Property::Model, model.clone()),
        (Property::Dimension, Some(dimension.to_string())),
        (Property::Distance, Some("cosine".to_owned())),
        (Property::Space, space),
    ];
    let given = all.into_iter().filter_map(|(property, value)| Some((property, value?)));
    given.map(|(property, value)| KeyValue::new(format!("{PROPERTY_PREFIX}{}", property.name()), value)).collect()
}

fn write_error(path: &Path, error: ParquetError) -> ExchangeError {
    let source = match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => *source,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    };
    ExchangeError::Write { path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
