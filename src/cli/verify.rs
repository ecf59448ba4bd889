//! `glimpse verify`: checks whether the stores and the ledger agree.

use clap::Args;

use super::client::Client;
use super::{CliError, Ending, out};
use crate::api::replies::{StatusReply, VerifyReply, VerifyRequest};
use crate::config::Settings;

const EXAMPLES: &str = "\
Examples:
  glimpse verify
  glimpse verify --collection birds --repair
  glimpse verify --json | jq .differences

Exit codes: 0 no difference, or all are repaired; 1 unrepaired differences, or the check failed.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Verify {
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long)]
    collection: Option<String>,
    /// Copy records that a store lacks from a store that has them
    #[arg(long)]
    repair: bool,
    /// Number of records to compare, of those that every store has
    #[arg(long, default_value_t = VerifyRequest::default().sample)]
    sample: u64,
    /// Print the service's reply instead of a table
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let request = VerifyRequest { repair: self.repair, sample: self.sample };
        let client = Client::without_timeout(settings)?;
        // The default is a setting of the service, as for every other command.
        let collection = match self.collection {
            Some(collection) => collection,
            None => client.get(&["status"], &()).await?.read::<StatusReply>()?.collection,
        };
        let reply = client.post(&["collections", &collection, "verify"], &request).await?;
        let read: VerifyReply = reply.read()?;
        if self.json {
            out::line(reply.text())?;
        } else {
            out::line(report(&read))?;
        }
        Ok(if read.agrees { Ending::Done } else { Ending::Failed })
    }
}

/// Formats the reply as text.
fn report(reply: &VerifyReply) -> String {
    let stores: Vec<_> = reply.stores.iter().map(|(store, count)| format!("{store} {count}")).collect();
    let head = format!(
        "{}: {} images; ledger {}; {} records compared",
        reply.collection,
        stores.join(", "),
        reply.ledger,
        reply.compared
    );
    if reply.total == 0 {
        return format!("{head}\nno differences");
    }
    let mut table = out::table(&["image", "what", "where", "repaired"]);
    for difference in &reply.differences {
        table.add_row([
            difference.s3_uri.clone().unwrap_or_else(|| difference.id.clone()),
            difference.kind.clone(),
            difference.stores.join(", "),
            if difference.repaired { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let named = reply.differences.len() as u64;
    let more = if reply.total > named { format!(" (the first {named} are shown)") } else { String::new() };
    let plural = if reply.total == 1 { "" } else { "s" };
    format!("{head}\n{table}\n{} difference{plural}{more}, {} repaired", reply.total, reply.repaired)
}
