//! `glimpse images list`.

use clap::Args;

use crate::api::replies::ImagesReply;
use crate::cli::CliError;
use crate::cli::client::{Client, Reply};
use crate::cli::out::{self, Output};
use crate::cli::rows::Export;
use crate::cli::search::Filter;
use crate::cli::values::whole_number;

#[derive(Debug, Args)]
pub(super) struct List {
    /// The order: newest (by the time of indexing), taken (by the time when they were taken), key, or random [default: that of the cursor, or newest]
    #[arg(long, value_name = "ORDER")]
    order: Option<String>,
    /// Number of images, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 50, allow_negative_numbers = true, value_parser = whole_number::<usize, 1, 100>)]
    pub(super) limit: usize,
    /// Continue after the page that printed this cursor
    #[arg(long, value_name = "CURSOR")]
    pub(super) cursor: Option<String>,
    /// The store: embedded, qdrant or weaviate, or all [default: the first store of the service]
    #[arg(long, value_name = "STORE")]
    provider: Option<String>,
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    pub(super) export: Export,
    #[command(flatten)]
    filter: Filter,
}

impl List {
    pub(super) async fn run(self, client: &Client) -> Result<(), CliError> {
        if let Some(format) = self.export.output_format {
            return self.print_export(client, format).await;
        }
        let reply = self.request(client, self.limit, self.cursor.as_deref()).await?;
        let reply = self.output.reply(&reply, page)?;
        out::warnings(&reply.warnings);
        Ok(())
    }

    /// Requests one page.
    pub(super) async fn request(&self, client: &Client, limit: usize, cursor: Option<&str>) -> Result<Reply, CliError> {
        let mut query = self.filter.request().to_pairs();
        let given = [
            ("order", self.order.clone()),
            ("limit", Some(limit.to_string())),
            ("cursor", cursor.map(str::to_owned)),
            ("provider", self.provider.clone()),
            ("collection", self.collection.clone()),
        ];
        query.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        client.get(&["images"], &query).await
    }
}

fn page(reply: &ImagesReply) -> String {
    if reply.images.is_empty() {
        return "no images found".to_owned();
    }
    let mut table = out::table(&["image", "format", "pixels", "bytes", "taken", "indexed"]);
    for image in &reply.images {
        table.add_row([
            image.s3_uri.clone().into(),
            image.format.clone().into(),
            format!("{}x{}", image.width, image.height).into(),
            out::number(image.size_bytes),
            image.taken_at.clone().unwrap_or_default().into(),
            image.indexed_at.clone().into(),
        ]);
    }
    match &reply.next_cursor {
        Some(cursor) => format!("{table}\nmore: --cursor {cursor}"),
        None => table.to_string(),
    }
}
