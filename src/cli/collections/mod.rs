//! `glimpse collections`: lists, shows, rebuilds, adopts and drops collections, counts their values, and finds duplicates in them.

mod duplicates;
mod facets;
mod generations;

use clap::{Args, Subcommand};

use super::client::Client;
use super::out::{self, Output};
use super::values::generation_number;
use super::{CliError, Ending, client_help, subcommand_help};
use crate::api::replies::{
    AdoptReply, AdoptRequest, CollectionDetailsReply, CollectionReply, CollectionsReply, DeletedReply, RecallReply,
    RecallSampleReply, StatusReply, SwitchBody,
};
use crate::config::Settings;

const EXAMPLES: &str = "\
Examples:
  glimpse collections list
  glimpse collections show birds
  glimpse collections duplicates birds
  glimpse collections duplicates birds --kind similar --json | jq .total
  glimpse collections facets meta.taxon --collection birds
  glimpse collections facets folder --limit 5 --format png
  glimpse collections rebuild birds --resize pad   build the next generation beside the current one
  glimpse collections generations birds            compare it with the current one
  glimpse collections switch birds                 use it
  glimpse collections rollback birds               go back to the one before
  glimpse collections drop-generation birds 2      remove one that is not the current one
  glimpse collections adopt birds --store qdrant   after the ledger was lost: jobs know the images of the store again
  glimpse collections adopt birds-g2               the same, as generation 2 of `birds`
  glimpse collections drop birds         asks first
  glimpse collections drop birds --yes   for scripts

`glimpse verify` compares the stores of a collection and repairs differences.";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES), mut_subcommands = |command| subcommand_help("collections", EXAMPLES, command))]
pub(super) struct Collections {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all collections with their number of images and their model
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Show one collection: its images in each store, sizes, formats, time range, model and vector space
    Show {
        /// The name of the collection [default: VECTOR_DB_COLLECTION of the service]
        name: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Find images that a collection has several times; nothing is changed
    Duplicates(duplicates::Duplicates),
    /// Count the images for each value of a field
    Facets(Box<facets::Facets>),
    /// Build the next generation of a collection with another model; searches use the current one meanwhile
    Rebuild(generations::Rebuild),
    /// List the generations of a collection, and compare the one that was built with the current one
    Generations {
        /// The name of the collection
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Use the generation that was built
    Switch {
        /// The name of the collection
        name: String,
        /// The number of the generation [default: the newest one that is ready]
        #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = generation_number)]
        generation: Option<u32>,
        /// Switch also if images are missing or outdated in it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Use the previous generation again
    Rollback {
        /// The name of the collection
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Drop a generation that is not the current one
    DropGeneration {
        /// The name of the collection
        name: String,
        /// The number of the generation
        #[arg(allow_negative_numbers = true, value_parser = generation_number)]
        number: u32,
        #[command(flatten)]
        output: Output,
    },
    /// Adopt a collection that a store has and the ledger does not know, because the ledger was lost
    Adopt {
        /// The name of the collection in the store; `birds-g2` becomes generation 2 of `birds`
        name: String,
        /// The name for clients: the name in the store, or a collection with a generation of that name
        #[arg(long = "as", value_name = "NAME")]
        collection: Option<String>,
        /// The store: embedded, qdrant or weaviate [default: the first one of the service]
        #[arg(long)]
        store: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Drop a collection with all its generations from every store; the objects stay in their bucket
    Drop {
        /// The name of the collection
        name: String,
        /// Do not ask for confirmation; required if standard input is not a terminal
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        output: Output,
    },
}

impl Collections {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        // The time that a drop takes depends on the size of the collection.
        let client = Client::without_timeout(settings)?;
        match self.command {
            Command::List { output } => {
                let reply = client.get(&["collections"], &()).await?;
                let listed = output.reply(&reply, list)?;
                out::warnings(&listed.warnings);
            }
            Command::Show { name, output } => {
                let name = name_or_default(&client, name).await?;
                let shown = output.reply(&client.get(&["collections", &name], &()).await?, details)?;
                out::warnings(&shown.warnings);
            }
            Command::Duplicates(command) => command.run(&client).await?,
            Command::Facets(command) => command.run(&client).await?,
            Command::Rebuild(command) => return command.run(settings).await,
            Command::Generations { name, output } => generations::list(&client, &name, output).await?,
            Command::Switch { name, generation, force, output } => {
                generations::switch(&client, &name, &SwitchBody { generation, force }, output).await?;
            }
            Command::Rollback { name, output } => generations::roll_back(&client, &name, output).await?,
            Command::DropGeneration { name, number, output } => {
                generations::drop_one(&client, &name, number, output).await?;
            }
            Command::Adopt { name, collection, store, output } => {
                let reply = client.post(&["collections", &name, "adopt"], &AdoptRequest { store, collection }).await?;
                output.reply(&reply, adopted)?;
            }
            Command::Drop { name, yes, output } => {
                if !yes {
                    let CollectionReply { count, stores, .. } = find(&client, &name).await?;
                    let stores: Vec<_> = stores.into_keys().collect();
                    let stores = stores.join(", ");
                    let question = format!("Drop the collection `{name}` with {count} images from {stores}?");
                    if !out::confirm(&format!("{question} The objects stay in their bucket."))? {
                        out::line("nothing was dropped")?;
                        return Ok(Ending::Failed);
                    }
                }
                let reply = client.delete(&["collections", &name], &()).await?;
                output.reply(&reply, |deleted: &DeletedReply| format!("dropped the collection `{}`", deleted.id))?;
            }
        }
        Ok(Ending::Done)
    }
}

/// Returns the name or, without one, the default collection of the service.
pub(super) async fn name_or_default(client: &Client, name: Option<String>) -> Result<String, CliError> {
    match name {
        Some(name) => Ok(name),
        None => Ok(client.get(&["status"], &()).await?.read::<StatusReply>()?.collection),
    }
}

async fn find(client: &Client, name: &str) -> Result<CollectionReply, CliError> {
    let CollectionsReply { collections, warnings, .. } = client.get(&["collections"], &()).await?.read()?;
    out::warnings(&warnings);
    let found = collections.into_iter().find(|collection| collection.name == name);
    found.ok_or_else(|| CliError::NoCollection(name.to_owned()))
}

fn list(reply: &CollectionsReply) -> String {
    if reply.collections.is_empty() {
        return "there are no collections; `glimpse ingest` creates one".to_owned();
    }
    let mut table = out::table(&["collection", "images", "stores", "model"]);
    for collection in &reply.collections {
        table.add_row([
            collection.name.clone().into(),
            out::number(collection.count),
            counts(collection).into(),
            collection.model.clone().into(),
        ]);
    }
    table.to_string()
}

fn details(reply: &CollectionDetailsReply) -> String {
    let collection = &reply.collection;
    let formats: Vec<_> = reply.formats.iter().map(|(format, count)| format!("{format} {count}")).collect();
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut table = out::table(&["property", "value"]);
    for (name, value) in [
        ("collection", collection.name.clone()),
        ("images", collection.count.to_string()),
        ("stores", counts(collection)),
        ("bytes", or_unknown(reply.total_bytes.map(|bytes| bytes.to_string()))),
        ("formats", formats.join(", ")),
        ("first indexed", or_unknown(reply.oldest_indexed_at.clone())),
        ("last indexed", or_unknown(reply.newest_indexed_at.clone())),
        ("metadata keys", reply.meta_keys.join(", ")),
        ("model", collection.model.clone()),
        ("dimension", collection.dimension.to_string()),
        ("space", collection.space.clone()),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    for (store, report) in &collection.recall_at_10 {
        table.add_row([format!("recall@10 in {store}"), recall(report)]);
    }
    table.to_string()
}

/// Returns how many of the best ten results searches find, and how long they take.
fn recall(report: &RecallReply) -> String {
    let share = |sample: Option<RecallSampleReply>| {
        sample.map_or_else(|| "-".to_owned(), |sample| format!("{:.3}", sample.recall))
    };
    let effort = report.level.map_or_else(|| "the default".to_owned(), |level| level.to_string());
    let limited = if report.limited { ", limited by VECTOR_DB_RECALL_MAX_MS" } else { "" };
    let [text, image] = [report.text, report.image].map(share);
    format!("text {text}, image {image}, {:.1} ms, effort {effort}{limited}", report.p50_ms)
}

/// Formats the reply to an adoption.
fn adopted(reply: &AdoptReply) -> String {
    let AdoptReply { collection, generation, store, model, adopted, without_version, foreign } = reply;
    let mut lines = vec![format!("adopted {adopted} images of `{collection}` from {store}, with the model {model}")];
    if *generation > 1 {
        lines.push(format!("they are its generation {generation}, which is the current one"));
    }
    if *without_version > 0 {
        lines.push(format!(
            "{without_version} records have no version of their object: the next job reads these objects again"
        ));
    }
    if *foreign > 0 {
        lines.push(format!("{foreign} records were not made by Glimpse and are not adopted"));
    }
    lines.push("`glimpse ingest` with the same prefix skips what is unchanged".to_owned());
    lines.join("\n")
}

/// Returns the number of images in each store.
fn counts(collection: &CollectionReply) -> String {
    let counts: Vec<_> = collection.stores.iter().map(|(store, count)| format!("{store} {count}")).collect();
    counts.join(", ")
}
