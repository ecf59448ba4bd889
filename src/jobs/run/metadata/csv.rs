//! CSV files: a header row, commas, quotes according to RFC 4180, any line ending.

use std::collections::BTreeMap;

use csv::{ByteRecord, ReaderBuilder};

use crate::domain::MetadataRow;
use crate::domain::metadata_row::{MAX_COLUMNS, check_name};
use crate::jobs::run::metadata::{BadFile, BadRow, KEY};

/// Maximum columns in an error message.
const MAX_SHOWN_COLUMNS: usize = 8;

pub(crate) fn read(bytes: &[u8], take: &mut dyn FnMut(Result<MetadataRow, BadRow>) -> bool) -> Result<(), BadFile> {
    // Flexible, so that this code reports rows that are too short or too long.
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header = reader.byte_headers().map_err(|error| BadFile(format!("its header cannot be read: {error}")))?;
    let header = Header::read(header)?;
    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            // Reading from memory with flexible rows cannot fail in another way.
            Err(error) => return Err(BadFile(error.to_string())),
        }
        let row = if ends_in_quotes(bytes, &record, reader.position().byte()) {
            Err("its quoted field does not end, so the rows after it cannot be read".to_owned())
        } else {
            header.row(&record)
        };
        let row = row.map_err(|reason| BadRow { line: line(bytes, &record), reason });
        if !take(row) {
            return Ok(());
        }
    }
}

/// Returns whether the file ends in a quoted field of this record, which then contains all the rows after it.
fn ends_in_quotes(bytes: &[u8], record: &ByteRecord, end: u64) -> bool {
    let [start, end] =
        [record.position().map_or(end, csv::Position::byte), end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
    let is_last = end >= bytes.len();
    let spans_lines = || record.iter().any(|field| field.contains(&b'\n'));
    let quotes = || memchr::memchr_iter(b'"', bytes.get(start..).unwrap_or_default()).count();
    is_last && spans_lines() && quotes() % 2 == 1
}

/// Returns the line where a record begins. The reader's position is the end of the record before, so blank lines and
/// the rest of a CRLF are skipped.
fn line(bytes: &[u8], record: &ByteRecord) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let rest = usize::try_from(position.byte()).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + ends.filter(|&&byte| byte == b'\n').count() as u64
}

struct Header {
    names: Vec<String>,
    /// The index of `s3_key`.
    key: usize,
}

impl Header {
    fn read(record: &ByteRecord) -> Result<Self, BadFile> {
        let names: Result<Vec<_>, _> =
            record.iter().map(|name| std::str::from_utf8(name).map(|name| name.trim().to_owned())).collect();
        let names = names.map_err(|_| BadFile("its header is not UTF-8".to_owned()))?;
        let Some(key) = names.iter().position(|name| name == KEY) else {
            let shown = names
                .iter()
                .take(MAX_SHOWN_COLUMNS)
                .map(|name| format!("`{}`", name.chars().take(64).collect::<String>()));
            let shown = shown.collect::<Vec<_>>().join(", ");
            return Err(BadFile(format!("it has no column `{KEY}`; its first columns are {shown}")));
        };
        if names.len() - 1 > MAX_COLUMNS {
            let count = names.len() - 1;
            return Err(BadFile(format!("it has {count} columns besides `{KEY}`; at most {MAX_COLUMNS} are allowed")));
        }
        for (index, name) in names.iter().enumerate() {
            check_name(name).map_err(BadFile)?;
            if names[..index].contains(name) {
                return Err(BadFile(format!("it has two columns with the name `{name}`")));
            }
        }
        Ok(Self { names, key })
    }

    fn row(&self, record: &ByteRecord) -> Result<MetadataRow, String> {
        if record.len() != self.names.len() {
            return Err(format!("it has {} fields, the header has {}", record.len(), self.names.len()));
        }
        let mut key = String::new();
        let mut columns = BTreeMap::new();
        for (index, (name, value)) in self.names.iter().zip(record).enumerate() {
            let value = std::str::from_utf8(value).map_err(|_| format!("its `{name}` is not UTF-8"))?;
            if index == self.key {
                value.clone_into(&mut key);
            } else if !value.is_empty() {
                columns.insert(name.clone(), value.to_owned());
            }
        }
        MetadataRow::new(key, columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::run::metadata::FileKind;

    fn rows(file: &[u8]) -> Result<Vec<Result<MetadataRow, BadRow>>, BadFile> {
        let mut rows = Vec::new();
        FileKind::Csv.read(file, &mut |row| {
            rows.push(row);
            true
        })?;
        Ok(rows)
    }

    fn row(key: &str, columns: &[(&str, &str)]) -> MetadataRow {
        let columns = columns.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        MetadataRow { key: key.into(), columns }
    }

    #[test]
    fn an_unclosed_quote_and_other_encodings_are_reported() {
        let read = rows(b"s3_key,t\na.jpg,x\nb.jpg,\"open\nc.jpg,y\n").unwrap();
        assert_eq!(read[0], Ok(row("a.jpg", &[("t", "x")])));
        let bad = read[1].as_ref().unwrap_err();
        assert!(bad.line == 3 && bad.reason.contains("does not end") && read.len() == 2, "{read:?}");
        let read = rows(b"s3_key,t\nb.jpg,\"two\nlines\"\nc.jpg,5\" tube").unwrap();
        assert!(read.iter().all(Result::is_ok), "{read:?}");
        for (file, text) in [(&b"\x1f\x8b\x08"[..], "gzip"), (b"\xff\xfes\0", "UTF-16")] {
            assert!(rows(file).unwrap_err().to_string().contains(text));
        }
    }

    #[test]
    fn quotes_commas_and_all_line_endings_are_read() {
        let file = b"\xef\xbb\xbfs3_key, taxon ,note\r\n\
            a.jpg,Felis catus,\"one, two\"\r\n\
            \"b, c.jpg\",\"message \"\"miau\"\"\",\"two\nlines\"\r\n\
            \r\n\
            c.jpg,,\n\
            d.jpg,\"\",last without an end";
        let read: Vec<MetadataRow> = rows(file).unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(
            read,
            [
                row("a.jpg", &[("taxon", "Felis catus"), ("note", "one, two")]),
                row("b, c.jpg", &[("taxon", "message \"miau\""), ("note", "two\nlines")]),
                row("c.jpg", &[]),
                row("d.jpg", &[("note", "last without an end")]),
            ]
        );
    }

    #[test]
    fn a_bad_row_is_skipped_and_reported_with_its_line() {
        let mut file = b"taxon,s3_key\nx,a.jpg\ny\nz,c.jpg,more\n,\n\xff,d.jpg\n".to_vec();
        file.extend_from_slice(format!("{},e.jpg\nlast,f.jpg\n", "v".repeat(3_000)).as_bytes());
        let (good, bad): (Vec<_>, Vec<_>) = rows(&file).unwrap().into_iter().partition(Result::is_ok);
        let good: Vec<String> = good.into_iter().map(|row| row.unwrap().key).collect();
        assert_eq!(good, ["a.jpg", "f.jpg"]);
        let bad: Vec<_> = bad.into_iter().map(Result::unwrap_err).map(|bad| (bad.line, bad.reason)).collect();
        let expected = |line, reason: &str| (line, reason.to_owned());
        assert_eq!(
            bad,
            [
                expected(3, "it has 1 fields, the header has 2"),
                expected(4, "it has 3 fields, the header has 2"),
                expected(5, "its s3_key is empty"),
                expected(6, "its `taxon` is not UTF-8"),
                expected(7, "its `taxon` has 3000 bytes; at most 2048 are allowed"),
            ]
        );
    }

    #[test]
    fn lines_are_counted_with_every_line_ending() {
        for end in ["\n", "\r\n"] {
            let file = ["s3_key,a", "x,\"two", "lines\"", "", ",1", "y,2", ",3"].join(end);
            let bad = rows(file.as_bytes()).unwrap().into_iter().filter_map(Result::err);
            assert_eq!(bad.map(|bad| bad.line).collect::<Vec<_>>(), [5, 7], "{end:?}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_used_is_reported() {
        let message = |file: &[u8]| rows(file).unwrap_err().to_string();
        assert_eq!(message(b"key;taxon\na;b\n"), "it has no column `s3_key`; its first columns are `key;taxon`");
        assert!(message(b"").contains("no column `s3_key`"));
        assert_eq!(message(b"s3_key,a,a\n"), "it has two columns with the name `a`");
        assert_eq!(message(b"s3_key,,b\n"), "a column has no name");
        assert_eq!(message(b"s3_key,\xff\n"), "its header is not UTF-8");
        let count = (0..65).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
        assert!(message(format!("s3_key,{count}\n").as_bytes()).contains("65 columns besides"));
        assert_eq!(rows(b"s3_key,a\n").unwrap(), []);
    }
}
