//! `glimpse search`: finds images.

mod export;
mod filter;
mod table;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use clap::{ArgGroup, Args};
use serde::Serialize;

use super::client::{Client, Reply};
use super::out::{self, Output};
use super::rows::Export;
use super::values::{ImageName, generation_number, local_path, relevance, score, whole_number};
use super::{CliError, Ending, client_help};
use crate::api::replies::{Base64Bytes, CompositeQuery, RegionRequest, SearchReply, TermRequest};
use crate::config::Settings;
use crate::domain::Language;

pub(super) use filter::Filter;
pub(super) use table::table;

const EXAMPLES: &str = "\
Examples:
  glimpse search \"a cat\"
  glimpse search --file cat.jpg --limit 3
  glimpse search --file cat.jpg \"at night\"                     similar to both
  glimpse search --like s3://pipeline/images/cat.jpg           similar to an indexed image
  glimpse search \"a bird\" --not \"a nest\" --like ID             like the image, a bird, and no nest
  glimpse search --like ID --region 0.5,0,0.5,1                similar to the right half of an indexed image
  glimpse search --like ID --copies-only                       copies of it
  glimpse search \"a cat\" --min-relevance 0.5                   only images that match
  glimpse search \"a cat\" --collapse similar                    copies of an image are one result
  glimpse search \"a cat\" --limit 100 --offset 100              the second hundred results
  glimpse search \"a cat\" --s3-prefix images/2026/ --min-width 1024 --meta place=CH
  glimpse search \"a cat\" --meta month=4..6 --meta 'place=!CH'  April to June, not in CH
  glimpse search \"eine Katze\" --lang de                        for a model that needs to know the language
  glimpse search \"a cat\" --json | jq .results
  glimpse search \"a cat\" --all --output-format csv > cats.csv  every result; ndjson has all fields

The score is the cosine similarity of query and image; its range depends on the model. The relevance says what it means:
how likely it is that the image matches, 0 to 1. It is not known while a new model is being calibrated, and for a search by
several inputs.";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES), group = inputs())]
pub(super) struct Search {
    /// The text to search for, 1 to 1,000 characters
    text: Option<String>,
    /// The language of the texts, for models that need to know it (nllb-clip): a tag such as de, or a code of NLLB such as
    /// deu_Latn
    #[arg(long, value_name = "LANGUAGE", value_parser = Language::from_str)]
    lang: Option<Language>,
    /// An image to search for: JPEG, PNG, WebP, GIF, TIFF, BMP, HEIC, AVIF, JPEG XL or camera RAW, at most IMAGE_MAX_SIZE_MB of the service
    #[arg(long, value_parser = local_path())]
    file: Option<PathBuf>,
    /// An indexed image to search for: its URI (s3://bucket/key) or its id, as in the results; repeat it for more images
    #[arg(long, value_name = "URI_OR_ID", value_parser = ImageName::parse)]
    like: Vec<ImageName>,
    /// A text that the results are not similar to; repeat it for more texts
    #[arg(long, value_name = "TEXT")]
    not: Vec<String>,
    /// An indexed image that the results are not similar to; repeat it for more images
    #[arg(long, value_name = "URI_OR_ID", value_parser = ImageName::parse)]
    not_like: Vec<ImageName>,
    /// The part of the image of --file, or else of the first --like, to search for: four shares of the upright image, 0 to 1
    #[arg(long, value_name = "X,Y,WIDTH,HEIGHT", value_parser = parse_region)]
    region: Option<RegionRequest>,
    /// The store to search: embedded, qdrant or weaviate, or all [default: the first store of the service]
    #[arg(long, value_name = "STORE")]
    provider: Option<String>,
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Number of results, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true, value_parser = whole_number::<usize, 1, 100>)]
    limit: usize,
    /// Number of results to skip; the sum of offset and limit is at most 10,000
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = whole_number::<usize, 0, 9999>)]
    offset: usize,
    /// Only results with at least this score, -1 to 1 [default: all]
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = score)]
    min_score: Option<f32>,
    /// Only results with at least this relevance, 0 to 1 [default: all]
    #[arg(long, value_name = "RELEVANCE", allow_negative_numbers = true, value_parser = relevance)]
    min_relevance: Option<f32>,
    /// Which images are one result: those with the same bytes (identical), copies of the same image (similar), or none
    #[arg(long, value_name = "KIND", value_parser = ["none", "identical", "similar"])]
    collapse: Option<String>,
    /// Only copies of the image of --like: with the same bytes, or resized, recompressed, mirrored, or slightly cropped
    #[arg(long, requires = "like", conflicts_with_all = ["text", "file", "not", "not_like", "region"])]
    copies_only: bool,
    /// The number of a generation of the collection, instead of the current one
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = generation_number)]
    generation: Option<u32>,
    /// Compare every vector, for comparison with the usual search, which can miss results in a large collection
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    export: Export,
    #[command(flatten)]
    filter: Filter,
}

/// The options of which at least one is required.
fn inputs() -> ArgGroup {
    ArgGroup::new("input").required(true).multiple(true).args(["text", "file", "like"])
}

fn parse_region(text: &str) -> Result<RegionRequest, String> {
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.as_deref() {
        Ok(&[x, y, width, height]) => Ok(RegionRequest { x, y, width, height }),
        _ => Err("it must be four numbers, X,Y,WIDTH,HEIGHT".to_owned()),
    }
}

impl Search {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        if let Some(format) = self.export.output_format {
            self.export(&client, format).await?;
            return Ok(Ending::Done);
        }
        let reply = self.request(&client, self.limit, self.offset).await?;
        let found = self.output.reply(&reply, |found: &SearchReply| table(found, self.offset))?;
        out::warnings(&found.warnings);
        Ok(Ending::Done)
    }

    /// Requests one page.
    async fn request(&self, client: &Client, limit: usize, offset: usize) -> Result<Reply, CliError> {
        let reply = if self.has_several_terms() {
            let body = self.body(limit, offset).await?;
            client.post(&["search", "images"], &body).await
        } else {
            self.find_one(client, limit, offset).await
        };
        let names = self.like.iter().chain(&self.not_like);
        reply.map_err(|error| names.fold(error, |error, name| name.in_error(error)))
    }

    /// Whether the search needs the JSON body.
    fn has_several_terms(&self) -> bool {
        !self.not.is_empty() || !self.not_like.is_empty() || self.like.len() > 1
    }

    async fn image(&self) -> Result<Option<Bytes>, CliError> {
        let Some(file) = &self.file else { return Ok(None) };
        let bytes = tokio::fs::read(file).await;
        Ok(Some(bytes.map_err(|source| CliError::File { path: file.clone(), source })?.into()))
    }

    /// Searches with the query string and, for a file, a form.
    async fn find_one(&self, client: &Client, limit: usize, offset: usize) -> Result<Reply, CliError> {
        let mut query = self.filter.request().to_pairs();
        let given = [
            ("q", self.text.clone()),
            ("lang", self.lang.map(|language| language.code().to_owned())),
            ("like", self.like.first().map(|like| like.id.to_string())),
            ("region", self.region.map(|region| region.to_string())),
            ("provider", self.provider.clone()),
            ("collection", self.collection.clone()),
            ("generation", self.generation.map(|number| number.to_string())),
            ("limit", Some(limit.to_string())),
            ("offset", Some(offset.to_string())),
            ("min_score", self.min_score.map(|score| score.to_string())),
            ("min_relevance", self.min_relevance.map(|relevance| relevance.to_string())),
            ("collapse", self.collapse.clone()),
            ("copies_only", self.copies_only.then(|| true.to_string())),
            ("exact", self.exact.then(|| true.to_string())),
        ];
        query.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        match (&self.file, self.image().await?) {
            (Some(file), Some(bytes)) => by_image(client, &query, file_name(file), bytes).await,
            _ => client.get(&["search", "images"], &query).await,
        }
    }

    async fn body(&self, limit: usize, offset: usize) -> Result<CompositeQuery, CliError> {
        let text = |text: &String| TermRequest { text: Some(text.clone()), ..TermRequest::default() };
        let like = |like: &ImageName| TermRequest { id: Some(like.id.to_string()), ..TermRequest::default() };
        let image = self.image().await?.map(|bytes| Base64Bytes(Some(bytes)));
        let image = image.map(|image| TermRequest { image: Some(image), ..TermRequest::default() });
        let mut images: Vec<TermRequest> = image.into_iter().chain(self.like.iter().map(like)).collect();
        if let Some(first) = images.first_mut() {
            first.region = self.region;
        }
        Ok(CompositeQuery {
            positive: self.text.iter().map(text).chain(images).collect(),
            negative: self.not.iter().map(text).chain(self.not_like.iter().map(like)).collect(),
            filter: self.filter.request(),
            limit,
            offset,
            provider: self.provider.clone(),
            collection: self.collection.clone(),
            generation: self.generation,
            lang: self.lang.map(|language| language.code().to_owned()),
            min_score: self.min_score,
            min_relevance: self.min_relevance,
            collapse: self.collapse.clone(),
            copies_only: self.copies_only,
            exact: self.exact,
        })
    }
}

pub(super) async fn by_image(
    client: &Client,
    query: &impl Serialize,
    name: String,
    bytes: Bytes,
) -> Result<Reply, CliError> {
    client.upload(&["search", "images"], query, name, bytes).await
}

fn file_name(file: &Path) -> String {
    file.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned())
}
