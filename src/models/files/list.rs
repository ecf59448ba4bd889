//! Lists the files of a model's folder.

use std::io;
use std::path::Path;

/// Maximum number of files. A tower may have one file for each tensor, and a large one has 500.
const MAX_FILES: usize = 20_000;
/// Deepest folder of a known layout: `vision/onnx/`.
const MAX_DEPTH: usize = 3;

/// Returns the paths of the files in `folder` and in its folders, with `/` between their parts. Hidden folders are
/// ignored, and so are deeper ones.
///
/// # Errors
/// Fails if a folder cannot be read, or has too many files for a model.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![(String::new(), 0)];
    while let Some((place, depth)) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&place))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = format!("{place}{name}");
            // Links of a cache are followed. A broken link is not a file.
            if entry.path().is_file() {
                names.push(path);
            } else if depth < MAX_DEPTH && !name.starts_with('.') && entry.path().is_dir() {
                folders.push((format!("{path}/"), depth + 1));
            }
            if names.len() > MAX_FILES || folders.len() > MAX_FILES {
                return Err(io::Error::other(format!(
                    "it has more than {MAX_FILES} files; it must be a model's folder"
                )));
            }
        }
    }
    Ok(names)
}
