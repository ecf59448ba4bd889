//! The filters of a search on the command line.

use std::collections::BTreeMap;

use clap::Args;

use crate::api::replies::{FilterRequest, Values};
use crate::cli::values::pixels;

/// Conditions that a result must all meet. The service validates them.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(in crate::cli) struct Filter {
    /// Only images of this format: jpeg, png, webp, gif, tiff, bmp, heic, avif, jxl or raw; !gif excludes a format; repeat it for any of several
    #[arg(long, value_name = "FORMAT")]
    format: Vec<String>,
    /// Only keys in this folder; it must end with /; !FOLDER/ excludes a folder; repeat it for any of several
    #[arg(long, value_name = "FOLDER/")]
    s3_prefix: Vec<String>,
    /// Only images whose original is at least this wide
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, value_parser = pixels)]
    min_width: Option<u32>,
    /// Only images whose original is at least this high
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, value_parser = pixels)]
    min_height: Option<u32>,
    /// Only images indexed after this time, in RFC 3339 format, such as 2026-05-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    indexed_after: Option<String>,
    /// Only images taken with this camera, by its whole name; !NAME excludes a camera; repeat it for any of several
    #[arg(long, value_name = "NAME")]
    camera: Vec<String>,
    /// Only images taken at this time or later: a date such as 2024-04-01 (a day in UTC), or a time in RFC 3339 format
    #[arg(long, value_name = "TIME")]
    taken_after: Option<String>,
    /// Only images taken at this time or earlier: a date, with all of its day, or a time in RFC 3339 format
    #[arg(long, value_name = "TIME")]
    taken_before: Option<String>,
    /// Only images taken in this month: 2024-06, or 06 for June of any year; !MONTH excludes one; repeat it for any of several
    #[arg(long, value_name = "MONTH")]
    taken_month: Vec<String>,
    /// Only images taken within a distance in kilometres of a position in degrees
    #[arg(long, value_name = "LAT,LON,KM", allow_hyphen_values = true)]
    near: Option<String>,
    /// Only images taken in this box, in degrees, as in GeoJSON
    #[arg(long, value_name = "WEST,SOUTH,EAST,NORTH", allow_hyphen_values = true)]
    bbox: Option<String>,
    /// Only images with this metadata, from the object or from the metadata file of the job. VALUE is a text, a range of
    /// numbers or dates (4..6, 2024-04-01..), or !VALUE to exclude one; repeat a key for any of several values
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    meta: Vec<(String, String)>,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it must be KEY=VALUE".to_owned()),
    }
}

impl Filter {
    /// Returns the conditions as the service reads them.
    pub(in crate::cli) fn request(&self) -> FilterRequest {
        let mut meta = BTreeMap::<String, Values>::new();
        for (key, value) in &self.meta {
            meta.entry(key.clone()).or_default().0.push(value.clone());
        }
        FilterRequest {
            format: Values(self.format.clone()),
            s3_prefix: Values(self.s3_prefix.clone()),
            min_width: self.min_width,
            min_height: self.min_height,
            indexed_after: self.indexed_after.clone(),
            camera: Values(self.camera.clone()),
            taken_after: self.taken_after.clone(),
            taken_before: self.taken_before.clone(),
            taken_month: Values(self.taken_month.clone()),
            near: self.near.clone(),
            bbox: self.bbox.clone(),
            meta,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_parameters_of_the_query_string() {
        let filter = Filter {
            format: vec!["png".to_owned(), "!gif".to_owned()],
            min_height: Some(7),
            meta: ["taxon=Felis catus", "a=b=c", "empty=", "a=4..6"].map(|text| parse_pair(text).unwrap()).into(),
            ..Filter::default()
        };
        let pairs = filter.request().to_pairs();
        let parameters: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
        let expected = ["format:png", "format:!gif", "min_height:7", "meta.a:b=c", "meta.a:4..6", "meta.empty:"];
        assert_eq!(parameters[..6], expected);
        assert_eq!(parameters[6..], ["meta.taxon:Felis catus"]);
        assert!(parse_pair("taxon").is_err() && parse_pair("=x").is_err());
    }
}
