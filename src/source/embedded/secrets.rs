//! The pair that the embedded server asks for: made once, kept beside the data, readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::source::S3Credentials;

const FILE: &str = "credentials.json";

/// The pair that an earlier start made in this folder, if any did.
pub(super) fn stored(folder: &Path) -> io::Result<Option<S3Credentials>> {
    match fs::read(folder.join(FILE)) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The stored pair, or a new one.
pub(super) fn stored_or_new(folder: &Path) -> io::Result<S3Credentials> {
    if let Some(pair) = stored(folder)? {
        return Ok(pair);
    }
    let mut random = [0; 40];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let (id, secret) = random.split_at(8);
    let pair = S3Credentials {
        access_key_id: format!("GLIMPSE{}", hex::encode_upper(id)),
        secret_access_key: hex::encode(secret),
    };
    write(folder, &serde_json::to_vec_pretty(&pair).map_err(io::Error::other)?)?;
    Ok(pair)
}

/// Whole or not at all: a file that broke off would lock the owner out.
fn write(folder: &Path, text: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!("{FILE}.new"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(unfinished, folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_made_once_and_is_its_owners_only() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(stored(folder.path()).unwrap(), None);
        let pair = stored_or_new(folder.path()).unwrap();
        assert_eq!(stored_or_new(folder.path()).unwrap(), pair);
        assert_eq!((pair.access_key_id.len(), pair.secret_access_key.len()), (23, 64));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let other = tempfile::tempdir().unwrap();
        assert_ne!(stored_or_new(other.path()).unwrap(), pair);
    }
}
