//! The name of a repository on the hub: `organisation/name`, and which revision of it.

use std::fmt;
use std::str::FromStr;

const MAX_NAME: usize = 96;
const MAX_REVISION: usize = 128;

/// A repository at a revision. Its parts are safe in a path and in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    id: String,
    revision: String,
}

impl Repo {
    /// `organisation/name`
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A branch, a tag or a commit; `main` where none was named.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

impl FromStr for Repo {
    type Err = String;

    /// Reads `organisation/name` or `organisation/name@revision`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let two = id.split_once('/').is_some_and(|(owner, name)| [owner, name].iter().all(|it| plain(it, MAX_NAME)));
        let parts = revision.split('/').all(|part| plain(part, MAX_REVISION));
        if two && parts && revision.len() <= MAX_REVISION {
            Ok(Self { id: id.to_owned(), revision: revision.to_owned() })
        } else {
            Err(format!("`{text}` is no repository: it must be `organisation/name` or `organisation/name@revision`"))
        }
    }
}

/// Letters, digits, `-`, `_` and `.`, the last neither first nor twice: nothing that leads out of a folder.
fn plain(part: &str, most: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=most).contains(&part.len()) && part.bytes().all(allowed) && !part.starts_with('.') && !part.contains("..")
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
    fn a_name_and_its_revision_are_read() {
        let repo: Repo = "openai/clip-vit-base-patch32".parse().unwrap();
        assert_eq!((repo.id(), repo.revision()), ("openai/clip-vit-base-patch32", "main"));
        let pinned: Repo = "a/b.c@refs/pr/7".parse().unwrap();
        assert_eq!((pinned.id(), pinned.revision()), ("a/b.c", "refs/pr/7"));
        assert_eq!(pinned.to_string(), "a/b.c@refs/pr/7");
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_name() {
        for text in
            ["", "clip", "a/b/c", "../b", "a/..", "a/b@../main", "a/b@", "a b/c", "a/b?x", "a/b@x%2f", "/a", "a/"]
        {
            assert!(text.parse::<Repo>().is_err(), "{text}");
        }
        assert!(format!("a/{}", "b".repeat(500)).parse::<Repo>().is_err());
    }
}
