//! Results as CSV or as NDJSON, page by page, for other programs.

use std::str::FromStr;

use clap::Args;
use serde_json::Value;

use super::{CliError, out};

/// How results are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExportFormat {
    /// A table with a line of names.
    Csv,
    /// The JSON of the API, one object in each line.
    Ndjson,
}

impl FromStr for ExportFormat {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        match name {
            "csv" => Ok(Self::Csv),
            "ndjson" => Ok(Self::Ndjson),
            _ => Err("it must be csv or ndjson"),
        }
    }
}

/// The options of an export.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Export {
    /// Print csv (one line for each image, with a header) or ndjson (the JSON of each image in one line), for other programs
    #[arg(long, value_name = "FORMAT", conflicts_with = "json", value_parser = ExportFormat::from_str)]
    pub(super) output_format: Option<ExportFormat>,
    /// Print all pages; needs --output-format
    #[arg(long, requires = "output_format", conflicts_with = "limit")]
    pub(super) all: bool,
}

/// A column of a CSV file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Its name in the first line.
    pub(super) name: &'static str,
    /// Its value in the JSON of the API, as a JSON pointer.
    pub(super) pointer: &'static str,
}

/// Writes rows to standard output.
#[derive(Debug)]
pub(super) struct Exporter {
    format: ExportFormat,
    columns: &'static [Column],
    has_header: bool,
}

impl Exporter {
    pub(super) fn new(format: ExportFormat, columns: &'static [Column]) -> Self {
        Self { format, columns, has_header: false }
    }

    /// Prints the rows of one page, so that a long export needs little memory. The first page prints the names of the columns,
    /// also if it has no rows.
    pub(super) fn page(&mut self, rows: &[Value]) -> Result<(), CliError> {
        out::bytes(&self.encode(rows))
    }

    fn encode(&mut self, rows: &[Value]) -> Vec<u8> {
        match self.format {
            ExportFormat::Ndjson => {
                let mut lines = String::new();
                for row in rows {
                    lines += &row.to_string();
                    lines.push('\n');
                }
                lines.into_bytes()
            }
            ExportFormat::Csv => {
                let mut lines = csv::Writer::from_writer(Vec::new());
                if !std::mem::replace(&mut self.has_header, true) {
                    lines.write_record(self.columns.iter().map(|column| column.name)).expect(IN_MEMORY);
                }
                for row in rows {
                    let cells =
                        self.columns.iter().map(|column| row.pointer(column.pointer).map_or_else(String::new, cell));
                    lines.write_record(cells).expect(IN_MEMORY);
                }
                lines.into_inner().expect(IN_MEMORY)
            }
        }
    }
}

const IN_MEMORY: &str = "memory can be written, and every row has a cell for each column";

/// Returns the text of a cell. The values of a list are separated by `; `, and an object is JSON.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => without_formula(text.clone()),
        Value::Array(values) => without_formula(values.iter().map(plain).collect::<Vec<_>>().join("; ")),
        Value::Object(fields) if fields.is_empty() => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Puts an apostrophe before a text that a spreadsheet would compute as a formula: keys and metadata are written by others.
fn without_formula(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 4] = [
        Column { name: "key", pointer: "/s3_key" },
        Column { name: "score", pointer: "/score" },
        Column { name: "keywords", pointer: "/exif/keywords" },
        Column { name: "meta", pointer: "/meta" },
    ];

    fn rows() -> [Value; 3] {
        [
            json!({"s3_key": "a, \"b\"\nc", "score": -0.25, "exif": {"keywords": ["x", "y"]}, "meta": {"place": "=1"}}),
            json!({"s3_key": "=HYPERLINK(\"http://h\")", "score": null, "exif": {"keywords": ["@x"]}, "meta": {}}),
            json!({"s3_key": "images/-a.jpg", "exif": {}}),
        ]
    }

    #[test]
    fn csv_quotes_cells_and_does_not_let_a_spreadsheet_compute_them() {
        let mut exporter = Exporter::new(ExportFormat::Csv, &COLUMNS);
        let first = String::from_utf8(exporter.encode(&rows())).unwrap();
        let expected = "key,score,keywords,meta\n\
            \"a, \"\"b\"\"\nc\",-0.25,x; y,\"{\"\"place\"\":\"\"=1\"\"}\"\n\
            \"'=HYPERLINK(\"\"http://h\"\")\",,'@x,\n\
            images/-a.jpg,,,\n";
        assert_eq!(first, expected);
        assert_eq!(exporter.encode(&rows()[2..]), b"images/-a.jpg,,,\n", "the names are only before the first row");
        let mut parsed = csv::Reader::from_reader(first.as_bytes());
        let keys: Vec<String> = parsed.records().map(|row| row.unwrap()[0].to_owned()).collect();
        assert_eq!(keys, ["a, \"b\"\nc", "'=HYPERLINK(\"http://h\")", "images/-a.jpg"]);
        for text in ["+1", "-1", "\tx", "\rx"] {
            assert_eq!(cell(&json!(text)), format!("'{text}"));
        }
    }

    #[test]
    fn ndjson_is_the_json_of_the_api() {
        let mut exporter = Exporter::new(ExportFormat::Ndjson, &COLUMNS);
        let text = String::from_utf8(exporter.encode(&rows())).unwrap();
        let parsed: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(parsed, rows());
        assert_eq!(exporter.encode(&[]), b"");
    }
}
