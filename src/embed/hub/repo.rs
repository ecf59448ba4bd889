//! The name of a repository on the hub, `organisation/name`, and its revision.

use std::fmt;
use std::str::FromStr;

const MAX_NAME_CHARS: usize = 96;
const MAX_REVISION_CHARS: usize = 128;

/// A repository at a revision. Its parts are safe in paths and URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    id: String,
    revision: String,
}

impl Repo {
    /// Returns `organisation/name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the branch, tag or commit; `main` if none was given.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

impl FromStr for Repo {
    type Err = String;

    /// Parses `organisation/name` or `organisation/name@revision`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let is_id = id
            .split_once('/')
            .is_some_and(|(owner, name)| [owner, name].iter().all(|part| is_safe(part, MAX_NAME_CHARS)));
        let is_revision = revision.split('/').all(|part| is_safe(part, MAX_REVISION_CHARS));
        if is_id && is_revision && revision.len() <= MAX_REVISION_CHARS {
            Ok(Self { id: id.to_owned(), revision: revision.to_owned() })
        } else {
            Err(format!("`{text}` is not a repository; it must be `organisation/name` or `organisation/name@revision`"))
        }
    }
}

/// Whether a part has only letters, digits, `-`, `_` and `.`, does not begin with `.` and does not contain `..`, so
/// that it cannot lead out of a folder.
fn is_safe(part: &str, max_len: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=max_len).contains(&part.len()) && part.bytes().all(allowed) && !part.starts_with('.') && !part.contains("..")
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision.as_str() {
            "main" => f.write_str(&self.id),
            revision => write!(f, "{}@{revision}", self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_revision_are_parsed() {
        let repo: Repo = "openai/clip-vit-base-patch32".parse().unwrap();
        assert_eq!((repo.id(), repo.revision()), ("openai/clip-vit-base-patch32", "main"));
        let pinned: Repo = "a/b.c@refs/pr/7".parse().unwrap();
        assert_eq!((pinned.id(), pinned.revision()), ("a/b.c", "refs/pr/7"));
        assert_eq!(pinned.to_string(), "a/b.c@refs/pr/7");
    }

    #[test]
    fn a_name_that_could_lead_out_of_a_folder_is_refused() {
        for text in
            ["", "clip", "a/b/c", "../b", "a/..", "a/b@../main", "a/b@", "a b/c", "a/b?x", "a/b@x%2f", "/a", "a/"]
        {
            assert!(text.parse::<Repo>().is_err(), "{text}");
        }
        assert!(format!("a/{}", "b".repeat(500)).parse::<Repo>().is_err());
    }
}
