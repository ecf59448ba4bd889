//! The lists of a job that have several pages.

use super::text;
use crate::api::replies::{FailuresReply, JobsReply, LogsReply};
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::cli::out::Output;

/// The number of failures in one page, if all pages are requested.
const PAGE_SIZE: u32 = 1000;

/// Prints one page of jobs.
pub(super) async fn list(
    client: &Client,
    limit: Option<u32>,
    cursor: Option<String>,
    output: Output,
) -> Result<(), CliError> {
    let query = [("limit", limit.map(|limit| limit.to_string())), ("before", cursor)];
    let reply = client.get(&["jobs"], &query).await?;
    output.reply::<JobsReply>(&reply, text::list)?;
    Ok(())
}

/// Prints one page of failures or, without a limit, all failures after the cursor.
pub(super) async fn failures(
    client: &Client,
    id: &str,
    limit: Option<u32>,
    cursor: i64,
    output: Output,
) -> Result<(), CliError> {
    let mut all = FailuresReply { failures: Vec::new(), total: 0, next: Some(cursor) };
    while let Some(after) = all.next {
        let query = [("limit", limit.unwrap_or(PAGE_SIZE).to_string()), ("after", after.to_string())];
        let page: FailuresReply = client.get(&["jobs", id, "failures"], &query).await?.read()?;
        all.failures.extend(page.failures);
        all.total = page.total;
        all.next = page.next.filter(|next| *next > after);
        if limit.is_some() {
            break;
        }
    }
    output.value(&all, |all| text::failures(id, all))
}

/// Returns the log lines after the cursor.
pub(super) async fn logs(client: &Client, id: &str, cursor: i64) -> Result<LogsReply, CliError> {
    let mut all = LogsReply { job_id: id.to_owned(), logs: String::new(), next: cursor, more: true, older: cursor > 0 };
    while all.more {
        let query = [("offset", all.next.to_string())];
        let page: LogsReply = client.get(&["jobs", id, "logs"], &query).await?.read()?;
        if !all.logs.is_empty() && !page.logs.is_empty() {
            all.logs.push('\n');
        }
        all.logs.push_str(&page.logs);
        all.more = page.more && page.next > all.next;
        all.next = page.next;
    }
    Ok(all)
}
