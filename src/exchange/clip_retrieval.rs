//! Reads what `clip-retrieval inference` writes: `img_emb_*.npy` with the vectors, and `metadata_*.parquet` with a row for each
//! of them, in one folder or in its subfolders `img_emb` and `metadata`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::vec;

use super::npy::Npy;
use super::rows::{Rows, text};
use super::{ExchangeError, FileHeader, FileImage, MAX_URI};
use crate::domain::location::strip_s3;

/// The column with the path of an image.
const PATH_COLUMN: &str = "image_path";
/// Maximum number of files of a folder.
const MAX_FILES: usize = 100_000;
/// Maximum bytes of a value of metadata, and of its name.
const MAX_VALUE: usize = 2_048;
const MAX_NAME: usize = 128;
/// Maximum number of columns that become metadata.
const MAX_COLUMNS: usize = 64;

/// How the path of an image becomes the URI of its object. A path that is a URI (`s3://bucket/key`) stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRule {
    /// The bucket of the objects.
    pub bucket: String,
    /// The begin of the paths that is not part of the keys.
    pub strip_prefix: String,
    /// The begin of the keys that is not part of the paths.
    pub prefix: String,
}

impl KeyRule {
    fn uri(&self, path: &str) -> Result<String, String> {
        let uri = if let Some(rest) = strip_s3(path) {
            format!("s3://{rest}")
        } else {
            let rest = path.strip_prefix(self.strip_prefix.as_str()).ok_or_else(|| {
                format!("its `{PATH_COLUMN}` does not begin with `{}` (--strip-prefix)", self.strip_prefix)
            })?;
            let rest = if self.strip_prefix.is_empty() { rest } else { rest.trim_start_matches('/') };
            format!("s3://{}/{}{rest}", self.bucket, self.prefix)
        };
        if uri.len() > MAX_URI {
            return Err(format!("its `{PATH_COLUMN}` is too long: {} bytes; at most {MAX_URI} are allowed", uri.len()));
        }
        Ok(uri)
    }
}

/// One array of vectors and its rows of metadata.
struct Pair {
    vectors: PathBuf,
    metadata: PathBuf,
}

/// The images of a folder.
pub struct ClipRetrieval {
    rule: KeyRule,
    header: FileHeader,
    count: u64,
    pairs: vec::IntoIter<Pair>,
    open: Option<(Npy, Rows, PathBuf)>,
}

impl std::fmt::Debug for ClipRetrieval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClipRetrieval").field("rule", &self.rule).field("count", &self.count).finish_non_exhaustive()
    }
}

impl ClipRetrieval {
    /// Opens a folder. Checks that each array has its metadata, with as many rows, and that all vectors have the same size.
    ///
    /// # Errors
    /// [`ExchangeError`]
    pub fn open(folder: &Path, rule: KeyRule) -> Result<Self, ExchangeError> {
        let pairs = pairs(folder)?;
        let (mut count, mut dimension) = (0, 0);
        for Pair { vectors, metadata } in &pairs {
            let array = Npy::open(vectors)?;
            let (_, facts) = Rows::open(metadata, Some(&[PATH_COLUMN]))?;
            if !facts.columns.iter().any(|column| column == PATH_COLUMN) {
                return Err(ExchangeError::content(metadata, format!("it has no column `{PATH_COLUMN}`")));
            }
            if facts.rows != array.rows() {
                let (rows, name) = (facts.rows, vectors.display());
                let problem = format!("it has {rows} rows, but {name} has {} vectors", array.rows());
                return Err(ExchangeError::content(metadata, problem));
            }
            if dimension != 0 && dimension != array.columns() {
                let problem =
                    format!("its vectors have {} numbers, and those of other files {dimension}", array.columns());
                return Err(ExchangeError::content(vectors, problem));
            }
            dimension = array.columns();
            count += array.rows();
        }
        let header = FileHeader { dimension, ..FileHeader::default() };
        Ok(Self { rule, header, count, pairs: pairs.into_iter(), open: None })
    }

    /// Returns what all vectors have in common: their size. The files do not name their model.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// Returns the number of images.
    pub fn total(&self) -> u64 {
        self.count
    }

    fn read_next(&mut self) -> Result<Option<FileImage>, ExchangeError> {
        loop {
            if self.open.is_none() {
                let Some(Pair { vectors, metadata }) = self.pairs.next() else { return Ok(None) };
                let (rows, _) = Rows::open(&metadata, None)?;
                self.open = Some((Npy::open(&vectors)?, rows, metadata));
            }
            let Some((array, rows, path)) = &mut self.open else { continue };
            let (vector, row) = (array.next_row()?, rows.next_row()?);
            let (Some(vector), Some((number, row))) = (vector, row) else {
                self.open = None;
                continue;
            };
            let wrong = |problem: String| ExchangeError::row(path, number, problem);
            let (mut image_path, mut meta) = (None, BTreeMap::new());
            for (name, field) in row.into_columns() {
                let Some(value) = text(&field) else { continue };
                if name == PATH_COLUMN {
                    image_path = Some(value);
                } else if is_metadata(&name, &value) && meta.len() < MAX_COLUMNS {
                    meta.insert(name, value);
                }
            }
            let image_path = image_path.ok_or_else(|| wrong(format!("it has no `{PATH_COLUMN}`")))?;
            let uri = self.rule.uri(&image_path).map_err(wrong)?;
            return Ok(Some(FileImage { row: number, uri, vector, payload: None, meta }));
        }
    }
}

impl Iterator for ClipRetrieval {
    type Item = Result<FileImage, ExchangeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}

/// Whether a value is kept as metadata. Longer ones, such as a column with the whole EXIF, are left out.
fn is_metadata(name: &str, value: &str) -> bool {
    let name_fits = !name.is_empty() && name.len() <= MAX_NAME && !name.contains('=');
    name_fits && !value.is_empty() && value.len() <= MAX_VALUE
}

/// Returns the arrays of a folder in the order of their numbers, each with its metadata.
fn pairs(folder: &Path) -> Result<Vec<Pair>, ExchangeError> {
    let mut arrays = numbered(folder, "img_emb", "img_emb_", ".npy")?;
    let mut tables = numbered(folder, "metadata", "metadata_", ".parquet")?;
    if arrays.is_empty() {
        let problem = "it has no files img_emb_*.npy, as clip-retrieval writes them, not in its folder img_emb either";
        return Err(ExchangeError::content(folder, problem));
    }
    let mut pairs = Vec::new();
    while let Some((number, vectors)) = arrays.pop_first() {
        let Some(metadata) = tables.remove(&number) else {
            return Err(ExchangeError::content(&vectors, format!("metadata_{}.parquet is missing", number.1)));
        };
        pairs.push(Pair { vectors, metadata });
    }
    if let Some((number, metadata)) = tables.pop_first() {
        return Err(ExchangeError::content(&metadata, format!("img_emb_{}.npy is missing", number.1)));
    }
    Ok(pairs)
}

/// The length of a number and its digits, so that 9 comes before 10.
type Number = (usize, String);

fn numbered(
    folder: &Path,
    subfolder: &str,
    begin: &str,
    end: &str,
) -> Result<BTreeMap<Number, PathBuf>, ExchangeError> {
    let mut found = BTreeMap::new();
    for folder in [folder.to_owned(), folder.join(subfolder)] {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(ExchangeError::read(&folder))? {
            let path = entry.map_err(ExchangeError::read(&folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
            if let Some(number) = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
                found.insert((number.len(), number.to_owned()), path);
            }
            if found.len() > MAX_FILES {
                return Err(ExchangeError::content(&folder, format!("it has more than {MAX_FILES} files")));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "clip_retrieval_tests.rs"]
mod tests;
