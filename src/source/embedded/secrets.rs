//! The credentials of the embedded server. They are created once and stored next to the data. Only the owner can read
//! the file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::owner_only;
use crate::source::S3Credentials;

pub(super) const FILE_NAME: &str = "credentials.json";

/// Returns the credentials that an earlier start created in this folder, if there are any.
pub(super) fn stored(folder: &Path) -> io::Result<Option<S3Credentials>> {
    match fs::read(folder.join(FILE_NAME)) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the stored credentials, or creates and stores new ones.
pub(super) fn stored_or_new(folder: &Path) -> io::Result<S3Credentials> {
    if let Some(credentials) = stored(folder)? {
        return Ok(credentials);
    }
    let mut random = [0; 40];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let (id, secret) = random.split_at(8);
    let credentials = S3Credentials {
        access_key_id: format!("GLIMPSE{}", hex::encode_upper(id)),
        secret_access_key: hex::encode(secret),
    };
    write(folder, &serde_json::to_vec_pretty(&credentials).map_err(io::Error::other)?)?;
    Ok(credentials)
}

/// Writes the file atomically, because an incomplete file would make the server unusable for its owner.
fn write(folder: &Path, text: &[u8]) -> io::Result<()> {
    let incomplete = folder.join(format!("{FILE_NAME}.new"));
    owner_only::create_file(&incomplete)?;
    let mut file = OpenOptions::new().write(true).truncate(true).open(&incomplete)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(incomplete, folder.join(FILE_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_created_once_and_only_the_owner_can_read_them() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(stored(folder.path()).unwrap(), None);
        let credentials = stored_or_new(folder.path()).unwrap();
        assert_eq!(stored_or_new(folder.path()).unwrap(), credentials);
        assert_eq!((credentials.access_key_id.len(), credentials.secret_access_key.len()), (23, 64));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join(FILE_NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let other = tempfile::tempdir().unwrap();
        assert_ne!(stored_or_new(other.path()).unwrap(), credentials);
    }
}
