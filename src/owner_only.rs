//! Folders and files of the data folder, which only the user of the service can read: images, keys, and who has done what.
//!
//! If the group can write to the folder in which they are made, such as a volume of Kubernetes with `fsGroup`, the group can
//! use them, too. The mode of what exists is not changed.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const GROUP_CAN_WRITE: u32 = 0o020;

/// Creates a folder and what is missing above it, if it does not exist. `in_data_folder`: whether the folder above is the data
/// folder or in it, so that its mode says whether the group has access.
pub(crate) fn create_folder(path: &Path, in_data_folder: bool) -> io::Result<()> {
    let group = if in_data_folder { group_access(path) & 0o070 } else { 0 };
    let new: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700 | group).create(path)?;
    new.into_iter().filter(|folder| !folder.as_os_str().is_empty()).try_for_each(|folder| add_group(folder, group))
}

/// Creates an empty file in the data folder, if it does not exist.
pub(crate) fn create_file(path: &Path) -> io::Result<()> {
    let group = group_access(path) & 0o060;
    match OpenOptions::new().write(true).create_new(true).mode(0o600 | group).open(path) {
        Ok(_) => add_group(path, group),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Adds the bits of the group that the umask of the process has removed.
fn add_group(path: &Path, group: u32) -> io::Result<()> {
    if group == 0 {
        return Ok(());
    }
    let mode = path.metadata()?.permissions().mode() | group;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Returns all bits of the group, if it can write to the folder above, and otherwise none.
fn group_access(path: &Path) -> u32 {
    let above = path.ancestors().skip(1).find_map(|folder| folder.metadata().ok());
    let is_shared = above.is_some_and(|folder| folder.permissions().mode() & GROUP_CAN_WRITE != 0);
    if is_shared { 0o070 } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::fs::set_permissions;

    use super::*;

    #[test]
    fn only_a_group_that_can_write_to_the_data_folder_gets_access() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
        for (number, above, of_folder, of_file) in
            [(1, 0o700, 0o700, 0o600), (2, 0o755, 0o700, 0o600), (3, 0o770, 0o770, 0o660)]
        {
            set_permissions(folder.path(), Permissions::from_mode(above)).unwrap();
            let names = ["data", "index/sub", "file"].map(|name| format!("{number}{name}"));
            create_folder(&folder.path().join(&names[0]), false).unwrap();
            create_folder(&folder.path().join(&names[1]), true).unwrap();
            create_file(&folder.path().join(&names[2])).unwrap();
            assert_eq!(mode(&names[0]), 0o700);
            let found = [mode(&names[1]), mode(&format!("{number}index")), mode(&names[2])];
            assert_eq!(found, [of_folder, of_folder, of_file], "{above:o}, with any umask");
        }
        set_permissions(folder.path().join("1data"), Permissions::from_mode(0o750)).unwrap();
        std::fs::write(folder.path().join("1file"), "text").unwrap();
        create_folder(&folder.path().join("1data"), true).unwrap();
        create_file(&folder.path().join("1file")).unwrap();
        assert_eq!(mode("1data"), 0o750, "what exists is left alone");
        assert_eq!(std::fs::read(folder.path().join("1file")).unwrap(), b"text");
    }
}
