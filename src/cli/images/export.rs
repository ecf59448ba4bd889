//! A list of images for other programs.

use serde_json::Value;

use super::list::List;
use crate::cli::client::Client;
use crate::cli::rows::{Column, ExportFormat, Exporter};
use crate::cli::{CliError, out};

/// The number of images in one request of an export of all pages, which is the maximum of the API.
const PAGE_SIZE: usize = 100;

/// The columns of a CSV file. docs/api.md lists them.
const COLUMNS: [Column; 24] = [
    Column { name: "id", pointer: "/id" },
    Column { name: "collection", pointer: "/collection" },
    Column { name: "s3_uri", pointer: "/s3_uri" },
    Column { name: "s3_bucket", pointer: "/s3_bucket" },
    Column { name: "s3_key", pointer: "/s3_key" },
    Column { name: "format", pointer: "/format" },
    Column { name: "width", pointer: "/width" },
    Column { name: "height", pointer: "/height" },
    Column { name: "frames", pointer: "/frames" },
    Column { name: "size_bytes", pointer: "/size_bytes" },
    Column { name: "etag", pointer: "/etag" },
    Column { name: "content_sha256", pointer: "/content_sha256" },
    Column { name: "indexed_at", pointer: "/indexed_at" },
    Column { name: "taken_at", pointer: "/taken_at" },
    Column { name: "camera", pointer: "/camera" },
    Column { name: "lens", pointer: "/exif/lens" },
    Column { name: "rating", pointer: "/exif/rating" },
    Column { name: "lat", pointer: "/exif/location/lat" },
    Column { name: "lon", pointer: "/exif/location/lon" },
    Column { name: "title", pointer: "/exif/title" },
    Column { name: "caption", pointer: "/exif/caption" },
    Column { name: "keywords", pointer: "/exif/keywords" },
    Column { name: "thumbnail_key", pointer: "/thumbnail_key" },
    Column { name: "meta", pointer: "/meta" },
];

impl List {
    /// Prints one page, or all pages, in this format. Each page is printed before the next one is requested.
    pub(super) async fn print_export(&self, client: &Client, format: ExportFormat) -> Result<(), CliError> {
        let client = client.with_retries();
        let mut exporter = Exporter::new(format, &COLUMNS);
        let mut cursor = self.cursor.clone();
        loop {
            let limit = if self.export.all { PAGE_SIZE } else { self.limit };
            let reply: Value = self.request(&client, limit, cursor.as_deref()).await?.read()?;
            let warnings = reply["warnings"].as_array().into_iter().flatten();
            out::warnings(&warnings.filter_map(|text| text.as_str().map(str::to_owned)).collect::<Vec<_>>());
            exporter.page(reply["images"].as_array().map_or(&[][..], Vec::as_slice))?;
            cursor = reply["next_cursor"].as_str().map(str::to_owned);
            match &cursor {
                Some(_) if self.export.all => {}
                Some(next) => {
                    out::error_line(format_args!("more: --cursor {next}"));
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
    }
}
