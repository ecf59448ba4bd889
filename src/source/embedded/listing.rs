//! One page of a listing: a range of the catalogue's primary key, however many objects there are. With a
//! delimiter, each common prefix is one step of the index, not a walk over what it holds.

use rusqlite::{Connection, params};

/// Objects and common prefixes of one page at most, as with Amazon's own.
pub(super) const MOST: usize = 1000;

/// Where a page begins. Travels as the continuation token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Keys that are greater than this one.
    Key(String),
    /// Keys that are greater than all that begin so.
    Prefix(String),
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PageRequest {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) after: Option<After>,
    /// At most [`MOST`].
    pub(super) limit: usize,
}

/// A line of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) key: String,
    pub(super) size: i64,
    pub(super) etag: String,
    pub(super) modified: i64,
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) lines: Vec<Line>,
    pub(super) prefixes: Vec<String>,
    /// Where the next page begins; `None` where this is the last.
    pub(super) next: Option<After>,
}

impl After {
    /// As a token: hexadecimal, because a token may hold anything but must survive any client.
    pub(super) fn to_token(&self) -> String {
        match self {
            Self::Key(key) => format!("k{}", hex::encode(key)),
            Self::Prefix(prefix) => format!("p{}", hex::encode(prefix)),
        }
    }

    /// The token's meaning; `None` for one that was not ours.
    pub(super) fn from_token(token: &str) -> Option<Self> {
        let text = |digits| String::from_utf8(hex::decode(digits).ok()?).ok();
        match token.split_at_checked(1)? {
            ("k", digits) => text(digits).map(Self::Key),
            ("p", digits) => text(digits).map(Self::Prefix),
            _ => None,
        }
    }

    /// The least key that may follow.
    fn bound(&self) -> Vec<u8> {
        match self {
            // No key lies between a key and the same with a zero byte at its end.
            Self::Key(key) => [key.as_bytes(), &[0]].concat(),
            Self::Prefix(prefix) => after_all_of(prefix),
        }
    }
}

/// The least bytes that are greater than everything that begins with `prefix`. UTF-8 has no byte 255, so the
/// last byte can always be raised.
fn after_all_of(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    match bytes.last_mut() {
        Some(last) => *last += 1,
        // Everything begins with nothing.
        None => bytes.push(u8::MAX),
    }
    bytes
}

/// Reads a page.
pub(super) fn list(connection: &Connection, bucket: &str, request: &PageRequest) -> rusqlite::Result<Page> {
    let mut page = Page::default();
    if request.limit == 0 {
        return Ok(page);
    }
    let mut range = connection.prepare_cached(
        "SELECT key, size, etag, modified FROM object WHERE bucket = ?1 AND key >= ?2 AND key < ?3 ORDER BY key",
    )?;
    let end = after_all_of(&request.prefix);
    let mut from = request.prefix.clone().into_bytes();
    from = from.max(request.after.as_ref().map(After::bound).unwrap_or_default());
    let mut last = None;
    'seek: loop {
        let mut rows = range.query(params![bucket, from, end])?;
        while let Some(row) = rows.next()? {
            if page.lines.len() + page.prefixes.len() == request.limit {
                page.next = last;
                return Ok(page);
            }
            let bytes: Vec<u8> = row.get(0)?;
            let key = String::from_utf8(bytes).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, error.into())
            })?;
            if let Some(folder) = common_prefix(&key, request) {
                from = after_all_of(folder);
                last = Some(After::Prefix(folder.to_owned()));
                page.prefixes.push(folder.to_owned());
                continue 'seek;
            }
            last = Some(After::Key(key.clone()));
            page.lines.push(Line { key, size: row.get(1)?, etag: row.get(2)?, modified: row.get(3)? });
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

    fn with(keys: &[&str]) -> Connection {
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

    /// Every line of every page, common prefixes in brackets, pages of `limit` apart by `|`.
    fn walk(connection: &Connection, mut request: PageRequest) -> String {
        let mut out = Vec::new();
        loop {
            let page = list(connection, "b", &request).unwrap();
            let mut names: Vec<String> = page.lines.into_iter().map(|line| line.key).collect();
            names.extend(page.prefixes.into_iter().map(|prefix| format!("[{prefix}]")));
            out.push(names.join(" "));
            let Some(next) = page.next else { return out.join("|") };
            request.after = After::from_token(&next.to_token());
            assert_eq!(request.after, Some(next));
        }
    }

    #[test]
    fn keys_come_in_the_order_of_their_bytes_and_pages_end_where_they_should() {
        let connection = with(&["a", "a\0", "b", "ä", "Z", "😀", "/x", "a/"]);
        let request = PageRequest { limit: 3, ..PageRequest::default() };
        assert_eq!(walk(&connection, request), "/x Z a|a\0 a/ b|ä 😀");
        let request = PageRequest { limit: 4, ..PageRequest::default() };
        assert_eq!(walk(&connection, request), "/x Z a a\0|a/ b ä 😀", "a full last page is the last");
    }

    #[test]
    fn a_delimiter_folds_what_lies_below_it() {
        let connection = with(&["a/1", "a/2", "a/b/3", "b", "c/4", "c//5"]);
        let request = |prefix: &str, limit| PageRequest {
            prefix: prefix.to_owned(),
            delimiter: Some("/".to_owned()),
            after: None,
            limit,
        };
        assert_eq!(walk(&connection, request("", 10)), "b [a/] [c/]");
        assert_eq!(walk(&connection, request("", 1)), "[a/]|b|[c/]");
        assert_eq!(walk(&connection, request("a/", 2)), "a/1 a/2|[a/b/]");
        assert_eq!(walk(&connection, request("c/", 9)), "c/4 [c//]");
    }

    #[test]
    fn start_after_lies_before_or_inside_the_prefix() {
        let connection = with(&["a1", "b1", "b2", "c1"]);
        let from = |key: &str| PageRequest {
            prefix: "b".to_owned(),
            after: Some(After::Key(key.to_owned())),
            limit: 9,
            ..PageRequest::default()
        };
        assert_eq!(walk(&connection, from("a")), "b1 b2");
        assert_eq!(walk(&connection, from("b1")), "b2");
        assert_eq!(walk(&connection, from("c")), "");
        assert_eq!(After::from_token("k6"), None);
        assert_eq!(After::from_token(""), None);
    }
}
