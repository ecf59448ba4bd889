//! `glimpse collections facets`.

use clap::Args;

use super::name_or_default;
use crate::api::replies::FacetsReply;
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::cli::out::{self, Output};
use crate::cli::search::Filter;
use crate::cli::values::whole_number;

#[derive(Debug, Args)]
pub(super) struct Facets {
    /// What to count: format, folder, camera, taken_month, or meta.KEY for a metadata key
    field: String,
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Number of values, 1 to 1,000
    #[arg(long, value_name = "N", default_value_t = 20, allow_negative_numbers = true, value_parser = whole_number::<usize, 1, 1000>)]
    limit: usize,
    /// The store: embedded, qdrant or weaviate [default: the first store of the service]
    #[arg(long, value_name = "STORE")]
    provider: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    filter: Filter,
}

impl Facets {
    pub(super) async fn run(self, client: &Client) -> Result<(), CliError> {
        let name = name_or_default(client, self.collection).await?;
        let mut query = self.filter.request().to_pairs();
        query.extend([("field".to_owned(), self.field), ("limit".to_owned(), self.limit.to_string())]);
        query.extend(self.provider.map(|provider| ("provider".to_owned(), provider)));
        self.output.reply(&client.get(&["collections", &name, "facets"], &query).await?, values)?;
        Ok(())
    }
}

fn values(reply: &FacetsReply) -> String {
    if reply.values.is_empty() {
        return format!("no image has a value of {}", reply.field);
    }
    let mut table = out::table(&[&reply.field, "images"]);
    for value in &reply.values {
        table.add_row([value.value.clone().into(), out::number(value.count)]);
    }
    if reply.has_more {
        format!("{table}\nthere may be other values, which are not more frequent")
    } else {
        table.to_string()
    }
}
