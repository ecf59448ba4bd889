//! The table of results.

use crate::api::replies::{ImageSummary, SearchReply};
use crate::cli::out;

/// Formats the results as a table. Their ranks start after `offset`.
pub(in crate::cli) fn table(reply: &SearchReply, offset: usize) -> String {
    if reply.results.is_empty() {
        return format!("nothing found in the collection `{}`", reply.collection);
    }
    let has_relevance = reply.results.iter().any(|hit| hit.relevance.is_some());
    let like = reply.like.is_some();
    let several = reply.results.iter().any(|hit| !hit.stores.is_empty());
    let collapsed = reply.results.iter().any(|hit| hit.duplicates_total > 0);
    let mut headers = vec!["rank", "score"];
    headers.extend(has_relevance.then_some("relevance"));
    headers.extend(["image", "size"]);
    headers.extend(like.then_some("identical"));
    headers.extend(several.then_some("stores"));
    headers.extend(collapsed.then_some("duplicates"));
    let mut table = out::table(&headers);
    for (rank, hit) in (offset + 1..).zip(&reply.results) {
        let mut row = vec![out::number(rank), out::number(format!("{:.4}", hit.score))];
        let relevance = hit.relevance.map_or_else(String::new, |relevance| format!("{:.0} %", relevance * 100.0));
        row.extend(has_relevance.then(|| out::number(relevance)));
        let ImageSummary { s3_uri, width, height, .. } = &hit.image;
        row.extend([s3_uri.clone().into(), out::number(format!("{width}x{height}"))]);
        row.extend(like.then(|| if hit.identical == Some(true) { "yes" } else { "no" }.into()));
        row.extend(several.then(|| hit.stores.join(", ").into()));
        row.extend(collapsed.then(|| out::number(hit.duplicates_total)));
        table.add_row(row);
    }
    // For a search by an image alone it says only that no image is the same one.
    if reply.query.is_some() && reply.no_good_match == Some(true) {
        format!("{table}\nno image of the collection matches well")
    } else {
        table.to_string()
    }
}
