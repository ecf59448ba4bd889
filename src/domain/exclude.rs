//! Keys that are not indexed: files that file servers, backup tools and desktops leave next to images.

use std::sync::LazyLock;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use super::normal_form::nfc;

/// A list of glob patterns. A key that matches any of them is not indexed.
///
/// - A pattern without `/` matches the name of a file or of a folder at any depth; if it is a folder, everything in it
///   is excluded.
/// - A pattern that ends in `/` matches folders only.
/// - A pattern with a `/` elsewhere is matched from the beginning of the key; with `**/` in front it matches at any
///   depth.
/// - `*` and `?` do not match `/`, `**` does; `[abc]`, `[!abc]` and `{one,two}` are supported; `\` takes the next
///   character literally.
///
/// Patterns are case-sensitive, as keys are. The Unicode normal form (NFC or NFD) makes no difference.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Excludes {
    patterns: Vec<String>,
    set: GlobSet,
}

/// Patterns that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExclude {
    /// More patterns than are allowed.
    #[error("it has {0} patterns; at most {max} are allowed", max = Excludes::MAX_PATTERNS)]
    TooMany(usize),
    /// One pattern cannot be used.
    #[error("the pattern `{pattern}` {reason}")]
    Pattern {
        /// The pattern, at most its first 64 characters.
        pattern: String,
        /// What is wrong with the pattern.
        reason: String,
    },
}

/// The only pattern of a list that excludes nothing: an empty setting counts as not set.
const EXCLUDE_NOTHING: &str = "none";

impl Excludes {
    /// Maximum number of patterns in one list.
    pub const MAX_PATTERNS: usize = 100;
    /// Maximum length of one pattern, in bytes.
    pub const MAX_PATTERN_BYTES: usize = 256;

    /// What is excluded if no other list is set: thumbnails, forks, snapshots and bins of Synology, QNAP, NetApp,
    /// Samba, ZFS,
    /// btrfs, macOS, Windows, Linux desktops, Android and synchronisation tools.
    pub const DEFAULT: &str = "@eaDir/,*@SynoEAStream,*@SynoResource,@tmp/,#recycle/,#snapshot/,.SynologyWorkingDirectory/,\
        .@__thumb/,.@upload_cache/,@Recycle/,@Recently-Snapshot/,.recycle/,.snapshot/,.snapshots/,~snapshot/,.zfs/,lost+found/,\
        ._*,.DS_Store,.AppleDouble/,.AppleDB/,.AppleDesktop/,__MACOSX/,.Spotlight-V100/,.fseventsd/,.DocumentRevisions-V100/,\
        .TemporaryItems/,Temporary Items/,Network Trash Folder/,.Trash*,.trashed-*,.pending-*,.dtrash/,.thumbnails/,.thumbs/,\
        [Tt]humbs.db,ehthumbs*.db,[Dd]esktop.ini,$RECYCLE.BIN/,$Recycle.Bin/,RECYCLER/,System Volume Information/,.nfs*,\
        .fuse_hidden*,.stversions/,.stfolder/,.sync/,.dropbox.cache/,.tmp.drivedownload/,.tmp.driveupload/";

    /// Returns the list of [`Excludes::DEFAULT`].
    ///
    /// # Panics
    /// Never: the patterns are valid.
    pub fn built_in() -> Self {
        static BUILT_IN: LazyLock<Excludes> =
            LazyLock::new(|| Excludes::parse(Excludes::DEFAULT).expect("the patterns are valid"));
        BUILT_IN.clone()
    }

    /// Builds a list from its patterns. An empty list, or a list with only the pattern `none`, excludes nothing.
    ///
    /// # Errors
    /// Returns [`InvalidExclude`] if there are too many patterns or if one of them is not valid.
    pub fn new(mut patterns: Vec<String>) -> Result<Self, InvalidExclude> {
        if let [one] = &patterns[..]
            && one.eq_ignore_ascii_case(EXCLUDE_NOTHING)
        {
            patterns.clear();
        }
        if patterns.len() > Self::MAX_PATTERNS {
            return Err(InvalidExclude::TooMany(patterns.len()));
        }
        let mut set = GlobSetBuilder::new();
        for pattern in &patterns {
            for glob in key_globs(pattern).map_err(|reason| invalid(pattern, reason))? {
                let built = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build();
                set.add(built.map_err(|error| invalid(pattern, format!("is not a glob: {}", error.kind())))?);
            }
        }
        let joined = || patterns.join(",");
        let set = set.build().map_err(|error| invalid(&joined(), format!("cannot be used: {}", error.kind())))?;
        Ok(Self { patterns, set })
    }

    /// Parses a comma-separated list, as a setting contains it. `none` excludes nothing.
    ///
    /// # Errors
    /// Returns [`InvalidExclude`] if there are too many patterns or if one of them is not valid.
    pub fn parse(list: &str) -> Result<Self, InvalidExclude> {
        Self::new(Self::split(list))
    }

    /// Splits a comma-separated list into its patterns and trims them. A comma inside `{}` or `[]`, or after `\`, does
    /// not separate.
    pub fn split(list: &str) -> Vec<String> {
        let (mut patterns, mut pattern) = (Vec::new(), String::new());
        let (mut braces, mut bracket, mut escaped) = (0_u32, false, false);
        for c in list.chars() {
            let separates = c == ',' && braces == 0 && !bracket && !escaped;
            match c {
                _ if escaped => {}
                '{' if !bracket => braces += 1,
                '}' if !bracket => braces = braces.saturating_sub(1),
                '[' => bracket = true,
                ']' => bracket = false,
                _ => {}
            }
            escaped = c == '\\' && !escaped;
            if separates {
                patterns.push(std::mem::take(&mut pattern));
            } else {
                pattern.push(c);
            }
        }
        patterns.push(pattern);
        patterns.iter().map(|pattern| pattern.trim().to_owned()).filter(|pattern| !pattern.is_empty()).collect()
    }

    /// Returns the patterns.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether the key is excluded.
    pub fn matches(&self, key: &str) -> bool {
        !self.set.is_empty() && self.set.is_match(nfc(key.trim_start_matches('/')).as_ref())
    }
}

impl TryFrom<String> for Excludes {
    type Error = InvalidExclude;

    fn try_from(list: String) -> Result<Self, InvalidExclude> {
        Self::parse(&list)
    }
}

impl From<Excludes> for String {
    fn from(excludes: Excludes) -> Self {
        if excludes.patterns.is_empty() { EXCLUDE_NOTHING.to_owned() } else { excludes.patterns.join(",") }
    }
}

impl Default for Excludes {
    /// Returns a list that excludes nothing.
    fn default() -> Self {
        Self { patterns: Vec::new(), set: GlobSet::empty() }
    }
}

impl std::fmt::Debug for Excludes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Excludes").field(&self.patterns).finish()
    }
}

impl Eq for Excludes {}

impl PartialEq for Excludes {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

/// Translates a pattern into globs that match whole keys.
fn key_globs(pattern: &str) -> Result<Vec<String>, String> {
    if pattern.len() > Excludes::MAX_PATTERN_BYTES {
        return Err(format!("has {} bytes; at most {} are allowed", pattern.len(), Excludes::MAX_PATTERN_BYTES));
    }
    if pattern.starts_with('!') {
        return Err(
            "begins with `!`, but a pattern cannot include what another excludes; write `\\!` for the character"
                .to_owned(),
        );
    }
    let (body, folder) = match pattern.strip_suffix('/') {
        Some(body) => (body, true),
        None => (pattern, false),
    };
    let (body, anchored) = match body.strip_prefix('/') {
        Some(body) => (body, true),
        None => (body, body.contains('/')),
    };
    if body.trim().is_empty() || body.starts_with('/') || body.ends_with('/') {
        return Err("does not name a file or a folder".to_owned());
    }
    let body = nfc(body);
    let body = if anchored { body.into_owned() } else { format!("**/{body}") };
    let inside = format!("{body}/**");
    Ok(if folder { vec![inside] } else { vec![body, inside] })
}

fn invalid(pattern: &str, reason: String) -> InvalidExclude {
    InvalidExclude::Pattern { pattern: pattern.chars().take(64).collect(), reason }
}

#[cfg(test)]
#[path = "exclude_tests.rs"]
mod tests;
