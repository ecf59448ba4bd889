//! `glimpse keys`: makes, lists and removes API keys.

mod expiry;

use clap::{Args, Subcommand};

use super::client::Client;
use super::help::{client_help, subcommand_help};
use super::out::{self, Output};
use super::{CliError, Ending};
use crate::api::replies::{AuditEntryReply, AuditReply, KeyReply, KeyRequest, KeysReply, RemovedKeyReply};
use crate::cli::values::whole_number;
use crate::config::Settings;
use crate::domain::{Role, SignIn};

const EXAMPLES: &str = "\
Examples:
  glimpse keys add root --role admin              the first key; from then on, every command needs a key in GLIMPSE_API_KEY
  glimpse keys add ci --role write --expires 90d  make a key for jobs and uploads; it is printed once
  glimpse keys add ann --role read                make a key that only searches
  glimpse keys list                               list the keys and when they were last used
  glimpse keys remove ci                          remove a key; it is refused from now on
  glimpse keys audit --limit 20                   list who has changed what";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES), mut_subcommands = |command| subcommand_help("keys", EXAMPLES, command))]
pub(super) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and print it; it cannot be printed again
    Add {
        /// The name of the key: letters, digits, `_` and `-`
        name: String,
        /// What the key may do: `read`, `write` (jobs, uploads, mirrors) or `admin` (drop and repair collections, keys)
        #[arg(long)]
        role: Role,
        /// How long the key is valid: a number with `h`, `d` or `w`, such as `30d` [default: until it is removed]
        #[arg(long, value_name = "TIME", value_parser = expiry::parse_seconds)]
        expires: Option<i64>,
        #[command(flatten)]
        output: Output,
    },
    /// List the keys, without their secrets
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Remove a key; it is refused from now on
    Remove {
        /// The name of the key
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// List who has changed what, the newest first
    Audit {
        /// Maximum number of entries
        #[arg(long, value_name = "N", default_value = "100", allow_negative_numbers = true, value_parser = whole_number::<u32, 1, 1000>)]
        limit: u32,
        #[command(flatten)]
        output: Output,
    },
}

impl Keys {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        match self.command {
            Command::Add { name, role, expires, output } => {
                let expires_at = expires.and_then(expiry::from_now).map(|end| end.to_string());
                let request = KeyRequest { name, role: role.to_string(), expires_at };
                let reply = client.post(&["keys"], &request).await?;
                let made: KeyReply = output.reply(&reply, |made: &KeyReply| made.key.clone().unwrap_or_default())?;
                out::warnings(&made.note.into_iter().collect::<Vec<_>>());
            }
            Command::List { output } => {
                let reply = client.get(&["keys"], &()).await?;
                output.reply(&reply, table)?;
            }
            Command::Remove { name, output } => {
                let reply = client.delete(&["keys", &name], &()).await?;
                output.reply(&reply, |removed: &RemovedKeyReply| format!("key {}: removed", removed.name))?;
            }
            Command::Audit { limit, output } => {
                let reply = client.get(&["audit"], &[("limit", limit)]).await?;
                output.reply(&reply, audit_table)?;
            }
        }
        Ok(Ending::Done)
    }
}

fn table(reply: &KeysReply) -> String {
    let mut table = out::table(&["name", "role", "source", "created", "expires", "last used"]);
    let time = |time: &Option<String>, none: &str| time.as_deref().map_or_else(|| none.to_owned(), out::to_the_second);
    for key in &reply.keys {
        let end = time(&key.expires_at, "never");
        table.add_row([
            key.name.clone(),
            key.role.to_string(),
            key.source.clone(),
            time(&key.created_at, "-"),
            if key.expired { format!("{end} (expired)") } else { end },
            time(&key.last_used_at, "-"),
        ]);
    }
    if reply.keys.is_empty() {
        "no keys: everyone who reaches the service has the role admin".to_owned()
    } else {
        table.to_string()
    }
}

/// Returns the name of an entry. A user of a proxy or of an identity provider can have the name of a key.
fn audit_name(entry: &AuditEntryReply) -> String {
    let Some(name) = &entry.name else { return "-".to_owned() };
    match entry.sign_in {
        Some(kind @ (SignIn::Proxy | SignIn::Token)) => format!("{name} ({})", kind.as_str()),
        Some(SignIn::Key) | None => name.clone(),
    }
}

fn audit_table(reply: &AuditReply) -> String {
    let mut table = out::table(&["time", "name", "request", "path", "result"]);
    for entry in &reply.entries {
        table.add_row([
            out::to_the_second(&entry.at),
            audit_name(entry),
            entry.action.clone(),
            entry.path.clone(),
            entry.location.clone().unwrap_or_else(|| entry.status.to_string()),
        ]);
    }
    if reply.entries.is_empty() { "no entries".to_owned() } else { table.to_string() }
}
