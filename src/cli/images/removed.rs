//! `glimpse images removed`.

use clap::Args;

use crate::api::replies::RemovedImagesReply;
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::cli::collections::name_or_default;
use crate::cli::out::{self, Output};
use crate::cli::values::{count, whole_number};

#[derive(Debug, Args)]
pub(super) struct Removed {
    /// Number of images, 1 to 1,000
    #[arg(long, value_name = "N", default_value_t = 100, allow_negative_numbers = true, value_parser = whole_number::<u32, 1, 1000>)]
    limit: u32,
    /// Continue after the page that printed this cursor
    #[arg(long, value_name = "CURSOR", allow_negative_numbers = true, value_parser = count::<u64, 0>)]
    cursor: Option<u64>,
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Removed {
    pub(super) async fn run(self, client: &Client) -> Result<(), CliError> {
        let name = name_or_default(client, self.collection).await?;
        let query = [("limit", Some(u64::from(self.limit))), ("after", self.cursor)];
        let reply = client.get(&["collections", &name, "removed-images"], &query).await?;
        self.output.reply(&reply, page)?;
        Ok(())
    }
}

fn page(reply: &RemovedImagesReply) -> String {
    if reply.removed_images.is_empty() {
        return "no image was removed permanently".to_owned();
    }
    let mut table = out::table(&["image", "removed", "records"]);
    for image in &reply.removed_images {
        let records = if image.pending { "a store may still have one" } else { "removed" };
        table.add_row([image.s3_uri.clone(), image.removed_at.clone(), records.to_owned()]);
    }
    match reply.next {
        Some(cursor) => format!("{table}\n{} in all; more: --cursor {cursor}", reply.total),
        None => table.to_string(),
    }
}
