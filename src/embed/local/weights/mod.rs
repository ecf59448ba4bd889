//! Weights that an ONNX file keeps in other files ("external data"): finds these files and loads the model with them.
//!
//! rten loads such files itself, but only with certain names, and only from the folder of the model after symbolic
//! links are resolved, which in a cache of the hub is a folder of blobs without names. Therefore this module reads the
//! files and passes them to rten with names that it accepts. Only the fields of `onnx.proto` that lead to the
//! `external_data` of a tensor are read.

mod nodes;
mod rewrite;
mod scan;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use rten::{Model, ModelOptions};

pub(super) use nodes::{Attribute, Node, nodes};

use crate::models::lfs_pointer;

/// Limit of protobuf for one message.
const MAX_ONNX_BYTES: u64 = 1 << 31;
/// Maximum number of files with weights. Exports may have one file for each tensor, and a large tower has 500 tensors.
const MAX_FILES: usize = 4_096;

/// Errors of finding the weights.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The file cannot be read, or is not ONNX.
    #[error("it does not load: {0}")]
    Unreadable(String),
    /// It refers to weights outside of its folder, or to too many files.
    #[error("{0}")]
    Location(String),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// One entry of a tensor's `external_data`: `location`, `offset` or `length`.
#[derive(Clone, PartialEq, prost::Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// The messages of `onnx.proto` that lead to tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
    Function,
}

/// Fields of a tensor: an entry of `external_data`, and the flag that makes it valid.
const EXTERNAL_DATA: u64 = 13;
const DATA_LOCATION: u64 = 14;
const IS_EXTERNAL: u64 = 1;

impl Kind {
    /// Returns the type of the message in a field, if it may contain a tensor.
    fn child(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Node, 5) => Some(Self::Attribute),
            _ => None,
        }
    }
}

/// Returns the files with weights of an ONNX file, as paths in its folder, each once. Does not read the weights.
///
/// # Errors
/// [`Error`] if the file is not ONNX, or a path leads out of the folder.
pub(super) fn locations(onnx: &Path) -> Result<Vec<String>, Error> {
    Ok(scan::locations(&mut scan::Input::new(File::open(onnx)?)?)?.into_iter().map(|(_, path)| path).collect())
}

/// Checks an ONNX file and the files with its weights, without reading the weights.
///
/// # Errors
/// A message that says what is missing or cannot be used.
#[cfg(feature = "onnxruntime")]
pub(super) fn check(onnx: &Path) -> Result<(), String> {
    check_file(onnx)?;
    let folder = onnx.parent().unwrap_or(Path::new("."));
    for path in locations(onnx).map_err(|error| error.to_string())? {
        let begin = first_bytes(&folder.join(&path)).map_err(|error| unreadable(&path, &error))?;
        lfs_pointer::refuse(&begin).map_err(|reason| format!("it keeps weights in `{path}`; {reason}"))?;
    }
    Ok(())
}

/// Loads a network with its weights, including weights in other files.
///
/// # Errors
/// A message that says what is missing or cannot be used.
pub(super) fn load(onnx: &Path, options: &mut ModelOptions) -> Result<Model, String> {
    check_file(onnx)?;
    let files = File::open(onnx).map_err(Error::from).and_then(|file| scan::locations(&mut scan::Input::new(file)?));
    let files = files.map_err(|error| error.to_string())?;
    if files.is_empty() {
        return options.load_file(onnx).map_err(|error| does_not_load(&error));
    }
    let folder = onnx.parent().unwrap_or(Path::new("."));
    let mut aliases = HashMap::new();
    for (number, (location, path)) in files.into_iter().enumerate() {
        // The bytes are moved into the model, whose tensors are slices of them, so they are in memory only once.
        let bytes = std::fs::read(folder.join(&path)).map_err(|error| unreadable(&path, &error))?;
        lfs_pointer::refuse(&bytes).map_err(|reason| format!("it keeps weights in `{path}`; {reason}"))?;
        let alias = rewrite::Alias { name: format!("{number}.data"), size: bytes.len() as u64 };
        options.external_data(&alias.name, bytes);
        aliases.insert(location, alias);
    }
    let onnx = std::fs::read(onnx).map_err(|error| does_not_load(&error))?;
    let onnx = rewrite::rename_locations(&onnx, &aliases).map_err(|error| error.to_string())?;
    options.load(onnx).map_err(|error| does_not_load(&error))
}

/// Checks the size and the first bytes.
fn check_file(onnx: &Path) -> Result<(), String> {
    let size = onnx.metadata().map_err(|error| does_not_load(&error))?.len();
    if size > MAX_ONNX_BYTES {
        return Err(format!(
            "it has {size} bytes; an ONNX file has at most {MAX_ONNX_BYTES}, with larger weights in other files"
        ));
    }
    if size == 0 {
        return Err("it is empty".to_owned());
    }
    lfs_pointer::refuse(&first_bytes(onnx).map_err(|error| does_not_load(&error))?)
}

fn does_not_load(error: &dyn std::fmt::Display) -> String {
    format!("it does not load: {error}")
}

fn unreadable(path: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("it keeps weights in `{path}`, which is not there; copy it into the same folder")
        }
        _ => format!("it keeps weights in `{path}`, which cannot be read: {error}"),
    }
}

fn first_bytes(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Converts a location to a path in the folder.
fn inside(location: &str) -> Result<String, Error> {
    let invalid = || {
        let quoted: String = location.chars().take(100).collect();
        Error::Location(format!(
            "it keeps weights in `{quoted}`; this must be a relative path in the same folder, without `..`"
        ))
    };
    let mut path = PathBuf::new();
    for part in Path::new(location).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(invalid()),
        }
    }
    let usable = !location.contains(['\0', '\\']) && !path.as_os_str().is_empty();
    path.into_os_string().into_string().ok().filter(|_| usable).ok_or_else(invalid)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
