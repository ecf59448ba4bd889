//! `glimpse verify`: checks whether the stores and the ledger agree.

use clap::Args;

use super::client::Client;
use super::out::{self, Output};
use super::values::whole_number;
use super::{CliError, Ending, client_help, collections};
use crate::api::replies::{VerifyReply, VerifyRequest};
use crate::config::Settings;

const EXAMPLES: &str = "\
Examples:
  glimpse verify
  glimpse verify --collection birds --repair
  glimpse verify --json | jq .differences

Exit codes: 0 no difference, or all are repaired; 1 unrepaired differences, or the check failed.";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES))]
pub(super) struct Verify {
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Copy records that a store lacks from a store that has them
    #[arg(long)]
    repair: bool,
    /// Number of records to compare, of those that every store has: 0 to 1,000,000
    #[arg(long, value_name = "N", default_value_t = VerifyRequest::default().sample,
        allow_negative_numbers = true, value_parser = whole_number::<u64, 0, 1_000_000>)]
    sample: u64,
    #[command(flatten)]
    output: Output,
}

impl Verify {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let request = VerifyRequest { repair: self.repair, sample: self.sample };
        let client = Client::without_timeout(settings)?;
        let collection = collections::name_or_default(&client, self.collection).await?;
        let reply = client.post(&["collections", &collection, "verify"], &request).await?;
        let read: VerifyReply = self.output.reply(&reply, report)?;
        Ok(if read.agrees { Ending::Done } else { Ending::Failed })
    }
}

/// Formats the reply as text.
fn report(reply: &VerifyReply) -> String {
    let stores: Vec<_> = reply.stores.iter().map(|(store, count)| format!("{store} {count}")).collect();
    let compared = match reply.stores.len() {
        0 | 1 => "no records compared, because there is one store".to_owned(),
        _ => format!("{} records compared", reply.compared),
    };
    let head = format!("{}: {} images; ledger {}; {compared}", reply.collection, stores.join(", "), reply.ledger);
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
