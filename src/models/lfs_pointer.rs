//! Files of a repository that was cloned without Git LFS.

/// The first bytes of a pointer, from the specification of Git LFS (`docs/spec.md` of git-lfs/git-lfs).
const BEGIN: &[u8] = b"version https://git-lfs";

/// Fails with a message if a file is a pointer of Git LFS.
pub(crate) fn refuse(file: &[u8]) -> Result<(), String> {
    if file.starts_with(BEGIN) {
        return Err("it is a pointer of Git LFS and not the file itself; run `git lfs pull` in its folder".to_owned());
    }
    Ok(())
}
