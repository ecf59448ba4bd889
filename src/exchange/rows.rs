//! Rows of Parquet files. The library can panic on damaged files, which is an error here.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::ExchangeError;

/// Maximum bytes of a group of rows, of which one page of each column is in memory.
const MAX_ROW_GROUP: i64 = 8 << 30;

/// The rows of one file.
pub(super) struct Rows {
    path: PathBuf,
    iter: RowIter<'static>,
    /// Number of the row that is read next, from 1.
    number: u64,
}

/// What the end of a file says about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Number of rows.
    pub(super) rows: u64,
    /// The columns.
    pub(super) columns: Vec<String>,
    /// Names and values that the program which wrote the file has added.
    pub(super) properties: Vec<(String, String)>,
}

impl Rows {
    /// Opens a file with those of `wanted` columns that it has, or with all columns.
    pub(super) fn open(path: &Path, wanted: Option<&[&str]>) -> Result<(Self, Facts), ExchangeError> {
        let file = File::open(path).map_err(ExchangeError::read(path))?;
        let open = move || {
            let reader = SerializedFileReader::new(file)?;
            let metadata = reader.metadata();
            let large = metadata.row_groups().iter().map(RowGroupMetaData::total_byte_size).max().unwrap_or_default();
            if large > MAX_ROW_GROUP {
                return Err(ParquetError::General(format!(
                    "a group of rows has {large} bytes; at most {MAX_ROW_GROUP} are allowed"
                )));
            }
            let facts = facts(metadata.file_metadata());
            let schema = metadata.file_metadata().schema();
            let fields =
                schema.get_fields().iter().filter(|field| wanted.is_none_or(|names| names.contains(&field.name())));
            let projection = Type::group_type_builder(schema.name()).with_fields(fields.cloned().collect()).build()?;
            let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection))?;
            Ok((rows, facts))
        };
        let (rows, facts) = guarded(path, open)?;
        Ok((Self { path: path.to_owned(), iter: rows, number: 1 }, facts))
    }

    /// Returns the next row and its number, or `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<(u64, Row)>, ExchangeError> {
        let rows = &mut self.iter;
        let next = guarded(&self.path, || rows.next().transpose());
        let number = self.number;
        self.number += 1;
        Ok(next?.map(|row| (number, row)))
    }
}

fn facts(metadata: &parquet::file::metadata::FileMetaData) -> Facts {
    let properties = metadata.key_value_metadata().into_iter().flatten();
    Facts {
        rows: u64::try_from(metadata.num_rows()).unwrap_or_default(),
        columns: metadata.schema().get_fields().iter().map(|field| field.name().to_owned()).collect(),
        properties: properties.filter_map(|one| Some((one.key.clone(), one.value.clone()?))).collect(),
    }
}

fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ExchangeError> {
    let damaged =
        |reason: String| ExchangeError::content(path, format!("it is not a Parquet file that can be read: {reason}"));
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(outcome) => outcome.map_err(|error| match error.to_string() {
            // The library names the feature of the codec that is not built in.
            reason if reason.contains("Disabled feature") => {
                let codec = reason.rsplit(' ').next().unwrap_or_default();
                let problem = format!(
                    "it is compressed with {codec}; write it with the compression snappy or gzip, or with none"
                );
                ExchangeError::content(path, problem)
            }
            reason => damaged(reason),
        }),
        Err(_) => Err(damaged("it is damaged".to_owned())),
    }
}

/// Why a value is not a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoVector {
    /// The column has another type, and so has every row.
    OtherType,
    /// The row alone is wrong, as the message says.
    Row(String),
}

/// Returns a vector: a list of floats.
pub(super) fn vector(field: &Field) -> Result<Vec<f32>, NoVector> {
    let list = match field {
        Field::ListInternal(list) => list,
        Field::Null => return Err(NoVector::Row("is null".to_owned())),
        _ => return Err(NoVector::OtherType),
    };
    let number = |(index, field): (usize, &Field)| match field {
        Field::Float(number) => Ok(*number),
        Field::Float16(number) => Ok(number.to_f32()),
        #[expect(clippy::cast_possible_truncation, reason = "vectors are stored as f32")]
        Field::Double(number) => Ok(*number as f32),
        Field::Null => Err(NoVector::Row(format!("has null at the index {index}"))),
        _ => Err(NoVector::OtherType),
    };
    list.elements().iter().enumerate().map(number).collect()
}

/// Returns a value as the text of metadata; `None` for no value, and for values that are not simple.
pub(super) fn text(field: &Field) -> Option<String> {
    Some(match field {
        Field::Str(text) => text.clone(),
        Field::Bool(value) => value.to_string(),
        Field::Byte(number) => number.to_string(),
        Field::Short(number) => number.to_string(),
        Field::Int(number) => number.to_string(),
        Field::Long(number) => number.to_string(),
        Field::UByte(number) => number.to_string(),
        Field::UShort(number) => number.to_string(),
        Field::UInt(number) => number.to_string(),
        Field::ULong(number) => number.to_string(),
        Field::Float(number) => number.to_string(),
        Field::Double(number) => number.to_string(),
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).ok()?.to_owned(),
        _ => return None,
    })
}
