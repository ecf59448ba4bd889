//! Reads one page of a listing. A page is a range of the primary key of the catalogue, so its cost does not depend on
//! the number of objects. With a delimiter, each common prefix is one seek in the index, without reading the keys below
//! it.

use rusqlite::{Connection, params};

/// Maximum number of objects and common prefixes of one page, as in Amazon S3.
pub(super) const MAX_PAGE_ENTRIES: usize = 1000;

/// The position where a page starts. It is sent as the continuation token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PagePosition {
    /// The page contains keys that are greater than this one.
    Key(String),
    /// The page contains keys that are greater than all keys with this prefix.
    Prefix(String),
}

/// The request for one page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PageRequest {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) after: Option<PagePosition>,
    /// Maximum number of objects and common prefixes, at most [`MAX_PAGE_ENTRIES`].
    pub(super) limit: usize,
}

/// One object of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedObject {
    pub(super) key: String,
    pub(super) size: i64,
    pub(super) etag: String,
    pub(super) modified: i64,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) objects: Vec<ListedObject>,
    pub(super) prefixes: Vec<String>,
    /// The position where the next page starts; `None` if this is the last page.
    pub(super) next: Option<PagePosition>,
}

impl PagePosition {
    /// Returns the position as a token. It is hexadecimal, so that every client returns it unchanged.
    pub(super) fn to_token(&self) -> String {
        match self {
            Self::Key(key) => format!("k{}", hex::encode(key)),
            Self::Prefix(prefix) => format!("p{}", hex::encode(prefix)),
        }
    }

    /// Parses a token. Returns `None` if this server did not make the token.
    pub(super) fn from_token(token: &str) -> Option<Self> {
        let text = |digits| String::from_utf8(hex::decode(digits).ok()?).ok();
        match token.split_at_checked(1)? {
            ("k", digits) => text(digits).map(Self::Key),
            ("p", digits) => text(digits).map(Self::Prefix),
            _ => None,
        }
    }

    /// Returns the smallest key that can follow.
    fn bound(&self) -> Vec<u8> {
        match self {
            // There is no key between a key and the same key with a zero byte at its end.
            Self::Key(key) => [key.as_bytes(), &[0]].concat(),
            Self::Prefix(prefix) => after_prefix(prefix),
        }
    }
}

/// Returns the smallest bytes that are greater than everything that starts with `prefix`. UTF-8 does not contain the
/// byte 255, so the last byte can always be increased.
fn after_prefix(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    match bytes.last_mut() {
        Some(last) => *last += 1,
        // Every key starts with the empty prefix.
        None => bytes.push(u8::MAX),
    }
    bytes
}

/// Reads one page.
pub(super) fn list(connection: &Connection, bucket: &str, request: &PageRequest) -> rusqlite::Result<Page> {
    let mut page = Page::default();
    if request.limit == 0 {
        return Ok(page);
    }
    let mut range = connection.prepare_cached(
        "SELECT key, size, etag, modified FROM object WHERE bucket = ?1 AND key >= ?2 AND key < ?3 ORDER BY key",
    )?;
    let end = after_prefix(&request.prefix);
    let mut from = request.prefix.clone().into_bytes();
    from = from.max(request.after.as_ref().map(PagePosition::bound).unwrap_or_default());
    let mut last = None;
    'seek: loop {
        let mut rows = range.query(params![bucket, from, end])?;
        while let Some(row) = rows.next()? {
            if page.objects.len() + page.prefixes.len() == request.limit {
                page.next = last;
                return Ok(page);
            }
            let bytes: Vec<u8> = row.get(0)?;
            let key = String::from_utf8(bytes).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, error.into())
            })?;
            if let Some(folder) = common_prefix(&key, request) {
                from = after_prefix(folder);
                last = Some(PagePosition::Prefix(folder.to_owned()));
                page.prefixes.push(folder.to_owned());
                continue 'seek;
            }
            last = Some(PagePosition::Key(key.clone()));
            page.objects.push(ListedObject { key, size: row.get(1)?, etag: row.get(2)?, modified: row.get(3)? });
        }
        return Ok(page);
    }
}

fn common_prefix<'a>(key: &'a str, request: &PageRequest) -> Option<&'a str> {
    let delimiter = request.delimiter.as_deref().filter(|text| !text.is_empty())?;
    let from = request.prefix.len();
    let at = key[from..].find(delimiter)?;
    Some(&key[..from + at + delimiter.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection_with(keys: &[&str]) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE object(bucket TEXT, key BLOB, size INTEGER, etag TEXT, modified INTEGER,
                 PRIMARY KEY (bucket, key)) WITHOUT ROWID",
            )
            .unwrap();
        for key in keys {
            connection.execute("INSERT INTO object VALUES ('b', ?1, 0, '', 0)", [key.as_bytes()]).unwrap();
        }
        connection
    }

    /// Returns the keys of all pages, with common prefixes in brackets and pages separated by `|`.
    fn list_all_pages(connection: &Connection, mut request: PageRequest) -> String {
        let mut out = Vec::new();
        loop {
            let page = list(connection, "b", &request).unwrap();
            let mut names: Vec<String> = page.objects.into_iter().map(|object| object.key).collect();
            names.extend(page.prefixes.into_iter().map(|prefix| format!("[{prefix}]")));
            out.push(names.join(" "));
            let Some(next) = page.next else { return out.join("|") };
            request.after = PagePosition::from_token(&next.to_token());
            assert_eq!(request.after, Some(next));
        }
    }

    #[test]
    fn keys_are_ordered_by_bytes_and_split_into_pages() {
        let connection = connection_with(&["a", "a\0", "b", "ä", "Z", "😀", "/x", "a/"]);
        let request = PageRequest { limit: 3, ..PageRequest::default() };
        assert_eq!(list_all_pages(&connection, request), "/x Z a|a\0 a/ b|ä 😀");
        let request = PageRequest { limit: 4, ..PageRequest::default() };
        assert_eq!(
            list_all_pages(&connection, request),
            "/x Z a a\0|a/ b ä 😀",
            "there is no page after a full last page"
        );
    }

    #[test]
    fn a_delimiter_groups_keys_into_common_prefixes() {
        let connection = connection_with(&["a/1", "a/2", "a/b/3", "b", "c/4", "c//5"]);
        let request = |prefix: &str, limit| PageRequest {
            prefix: prefix.to_owned(),
            delimiter: Some("/".to_owned()),
            after: None,
            limit,
        };
        assert_eq!(list_all_pages(&connection, request("", 10)), "b [a/] [c/]");
        assert_eq!(list_all_pages(&connection, request("", 1)), "[a/]|b|[c/]");
        assert_eq!(list_all_pages(&connection, request("a/", 2)), "a/1 a/2|[a/b/]");
        assert_eq!(list_all_pages(&connection, request("c/", 9)), "c/4 [c//]");
    }

    #[test]
    fn start_after_can_be_before_inside_or_after_the_prefix() {
        let connection = connection_with(&["a1", "b1", "b2", "c1"]);
        let from = |key: &str| PageRequest {
            prefix: "b".to_owned(),
            after: Some(PagePosition::Key(key.to_owned())),
            limit: 9,
            ..PageRequest::default()
        };
        assert_eq!(list_all_pages(&connection, from("a")), "b1 b2");
        assert_eq!(list_all_pages(&connection, from("b1")), "b2");
        assert_eq!(list_all_pages(&connection, from("c")), "");
        assert_eq!(PagePosition::from_token("k6"), None);
        assert_eq!(PagePosition::from_token(""), None);
    }
}
