//! Weights that an ONNX file keeps in other files ("external data"): which files these are, and the model with them.
//!
//! rten finds such files itself, but only beside the model after symbolic links are resolved, which in a cache of the
//! hub is a folder of nameless blobs, and only under certain names. So the files are read here and handed over under
//! names that it takes. Only the fields of `onnx.proto` on the way to a tensor's `external_data` are looked at.

mod rewrite;
mod scan;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use rten::{Model, ModelOptions};

/// Protobuf's own limit of a message.
const MAX_ONNX_BYTES: u64 = 1 << 31;
/// One file for each tensor is usual, and a large tower has some 500 tensors.
const MAX_FILES: usize = 4_096;
const MAX_LOCATION_BYTES: usize = 1_024;

/// Why the weights cannot be found.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The file cannot be read, or is not ONNX.
    #[error("it does not load: {0}")]
    Unreadable(String),
    /// It keeps weights where they must not be.
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

/// Fields of a tensor: an entry of `external_data`, and whether that counts.
const EXTERNAL_DATA: u64 = 13;
const DATA_LOCATION: u64 = 14;
const IS_EXTERNAL: u64 = 1;

impl Kind {
    /// The message in a field, if it may lead to a tensor.
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

/// The files in which the ONNX file keeps weights, as paths in its folder; each once. Reads no weights.
///
/// # Errors
/// [`Error`]: it is not ONNX, or a path leads out of the folder.
pub(super) fn locations(onnx: &Path) -> Result<Vec<String>, Error> {
    Ok(scan::locations(&mut scan::Input::new(File::open(onnx)?)?)?.into_iter().map(|(_, path)| path).collect())
}

/// The network with its weights, wherever they are.
///
/// # Errors
/// A sentence: what is not there or not usable.
pub(super) fn load(onnx: &Path, options: &mut ModelOptions) -> Result<Model, String> {
    let does_not_load = |error: &dyn std::fmt::Display| format!("it does not load: {error}");
    let size = onnx.metadata().map_err(|error| does_not_load(&error))?.len();
    if size > MAX_ONNX_BYTES {
        return Err(format!(
            "it has {size} bytes; an ONNX file has at most {MAX_ONNX_BYTES}, with its weights beside it"
        ));
    }
    let files = File::open(onnx).map_err(Error::from).and_then(|file| scan::locations(&mut scan::Input::new(file)?));
    let files = files.map_err(|error| error.to_string())?;
    if files.is_empty() {
        return options.load_file(onnx).map_err(|error| does_not_load(&error));
    }
    let folder = onnx.parent().unwrap_or(Path::new("."));
    let mut aliases = HashMap::new();
    for (at, (location, path)) in files.into_iter().enumerate() {
        // Moved into the model, which holds it once: its tensors are parts of it.
        let bytes = std::fs::read(folder.join(&path)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                format!("it keeps weights in `{path}`, which is not there; put it into its folder")
            }
            _ => format!("it keeps weights in `{path}`, which cannot be read: {error}"),
        })?;
        let alias = rewrite::Alias { name: format!("{at}.data"), size: bytes.len() as u64 };
        options.external_data(&alias.name, bytes);
        aliases.insert(location, alias);
    }
    let onnx = std::fs::read(onnx).map_err(|error| does_not_load(&error))?;
    let onnx = rewrite::renamed(&onnx, &aliases).map_err(|error| error.to_string())?;
    options.load(onnx).map_err(|error| does_not_load(&error))
}

/// The path in the folder that a location means.
fn inside(location: &str) -> Result<String, Error> {
    let wrong = || {
        let quoted: String = location.chars().take(100).collect();
        Error::Location(format!(
            "it keeps weights in `{quoted}`; this must be a relative path in its own folder, without `..`"
        ))
    };
    let mut path = PathBuf::new();
    for part in Path::new(location).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(wrong()),
        }
    }
    let usable = !location.contains(['\0', '\\']) && !path.as_os_str().is_empty();
    path.into_os_string().into_string().ok().filter(|_| usable).ok_or_else(wrong)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
