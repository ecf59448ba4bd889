//! The results of a search for other programs.

use std::collections::HashSet;

use serde_json::Value;

use super::Search;
use crate::cli::client::Client;
use crate::cli::rows::{Column, ExportFormat, Exporter};
use crate::cli::{CliError, out};

/// The number of results in one request of an export of all pages, which is the maximum of the API.
const PAGE_SIZE: usize = 100;
/// The last result that the API returns.
const MAX_RESULTS: usize = 10_000;
/// The same, if similar images are one result.
const MAX_SIMILAR_RESULTS: usize = 200;

/// The columns of a CSV file. docs/api.md lists them.
const COLUMNS: [Column; 15] = [
    Column { name: "rank", pointer: "/rank" },
    Column { name: "score", pointer: "/score" },
    Column { name: "relevance", pointer: "/relevance" },
    Column { name: "id", pointer: "/id" },
    Column { name: "s3_uri", pointer: "/s3_uri" },
    Column { name: "s3_key", pointer: "/s3_key" },
    Column { name: "format", pointer: "/format" },
    Column { name: "width", pointer: "/width" },
    Column { name: "height", pointer: "/height" },
    Column { name: "taken_at", pointer: "/taken_at" },
    Column { name: "camera", pointer: "/camera" },
    Column { name: "stores", pointer: "/stores" },
    Column { name: "identical", pointer: "/identical" },
    Column { name: "duplicates_total", pointer: "/duplicates_total" },
    Column { name: "thumbnail_key", pointer: "/thumbnail_key" },
];

impl Search {
    /// Prints one page, or all pages, in this format. Each page is printed before the next one is requested.
    pub(super) async fn export(&self, client: &Client, format: ExportFormat) -> Result<(), CliError> {
        let client = client.with_retries();
        let mut exporter = Exporter::new(format, &COLUMNS);
        let max = if self.collapse.as_deref() == Some("similar") { MAX_SIMILAR_RESULTS } else { MAX_RESULTS };
        let (mut offset, mut printed, mut warned) = (self.offset, HashSet::new(), HashSet::new());
        loop {
            let limit = if self.export.all { PAGE_SIZE.min(max.saturating_sub(offset)) } else { self.limit };
            let mut reply: Value = self.request(&client, limit, offset).await?.read()?;
            for warning in reply["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if warned.insert(warning.to_owned()) {
                    out::warnings(&[warning.to_owned()]);
                }
            }
            let rows = reply["results"].as_array_mut().map(std::mem::take).unwrap_or_default();
            let count = rows.len();
            let mut ranked = Vec::with_capacity(count);
            for (rank, mut row) in (offset + 1..).zip(rows) {
                // An image can move to a later page if others are added meanwhile.
                if !printed.insert(row["id"].to_string()) {
                    continue;
                }
                if format == ExportFormat::Csv {
                    row["rank"] = rank.into();
                }
                ranked.push(row);
            }
            exporter.page(&ranked)?;
            offset += count;
            if !self.export.all || count < limit {
                return Ok(());
            }
            if offset >= max {
                out::warnings(&[format!("the service returns no results after the first {max}; there can be more")]);
                return Ok(());
            }
        }
    }
}
