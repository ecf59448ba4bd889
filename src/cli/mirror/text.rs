//! Mirrors as text.

use crate::api::replies::{MirrorReply, MirrorsReply, RemovedMirrorReply};
use crate::cli::out;

/// Returns the table of all mirrors.
pub(super) fn table(reply: &MirrorsReply) -> String {
    if reply.mirrors.is_empty() {
        return "no mirrors; `glimpse mirror add NAME` creates one".to_owned();
    }
    let mut table = out::table(&["name", "state", "source", "collection", "last run", "next run", "waiting", "lag"]);
    for mirror in &reply.mirrors {
        table.add_row(vec![
            mirror.name.clone().into(),
            mirror.state.clone().into(),
            format!("s3://{}/{}", mirror.s3_bucket, mirror.s3_prefix).into(),
            mirror.collection.clone().into(),
            last_run(mirror).into(),
            next_run(mirror).into(),
            out::number(mirror.waiting_keys),
            out::number(lag(mirror)),
        ]);
    }
    table.to_string()
}

/// Returns a mirror with all fields, one in a line.
pub(super) fn details(mirror: &MirrorReply) -> String {
    let yes_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
    let schedule =
        mirror.schedule.as_ref().map_or_else(|| "none".to_owned(), |cron| format!("{cron} ({})", mirror.timezone));
    let removal = if mirror.sync { format!("yes, at most {} %", mirror.max_delete_percent) } else { yes_no(false) };
    let mut lines = vec![
        ("mirror", mirror.name.clone()),
        ("state", mirror.state.clone()),
        ("source", format!("s3://{}/{}", mirror.s3_bucket, mirror.s3_prefix)),
        ("collection", mirror.collection.clone()),
        ("schedule", schedule),
        ("next run", next_run(mirror)),
        ("last run", last_run(mirror)),
        ("removes", removal),
        ("executor", mirror.executor.clone()),
        (
            "events",
            format!(
                "{}, {} per minute, {} keys wait",
                yes_no(mirror.events),
                mirror.events_per_minute,
                mirror.waiting_keys
            ),
        ),
        ("lag", lag(mirror)),
    ];
    let optional = [
        ("reason", mirror.reason.clone()),
        ("problem", mirror.problem.clone()),
        ("warning", Some(mirror.warnings.join("; ")).filter(|warnings| !warnings.is_empty())),
        ("metadata", mirror.metadata_key.clone()),
        ("topic", mirror.sns_topic_arn.clone()),
        ("excludes", mirror.exclude.as_ref().map(|globs| globs.join(","))),
        ("message", mirror.last_run.as_ref().and_then(|run| run.message.clone())),
    ];
    lines.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    lines.iter().map(|(name, value)| format!("{name:<11} {value}")).collect::<Vec<_>>().join("\n")
}

/// Returns the result of `add`.
pub(super) fn added(mirror: &MirrorReply) -> String {
    let name = &mirror.name;
    let text = match &mirror.event_token {
        Some(token) => format!(
            "mirror {name}: created\nevent token {token}\nThe token is not shown again; `glimpse mirror events {name}` prints where it \
             belongs, and `glimpse mirror token {name}` replaces it."
        ),
        None => format!("mirror {name}: replaced"),
    };
    let warnings = mirror.warnings.iter().map(|warning| format!("warning: {warning}"));
    std::iter::once(text).chain(warnings).collect::<Vec<_>>().join("\n")
}

/// Returns the result of `remove`.
pub(super) fn removed(removed: &RemovedMirrorReply) -> String {
    format!(
        "mirror {}: {}\nIf its bucket sends events, remove the rule from the bucket: they are refused from now on, and the server \
         repeats them.",
        removed.name, removed.status
    )
}

fn last_run(mirror: &MirrorReply) -> String {
    mirror
        .last_run
        .as_ref()
        .map_or_else(|| "-".to_owned(), |run| format!("{} {}", run.status, out::to_the_second(&run.submitted_at)))
}

fn next_run(mirror: &MirrorReply) -> String {
    if mirror.run_soon && mirror.state == "active" {
        return "as soon as possible".to_owned();
    }
    mirror.next_run.as_deref().map_or_else(|| "-".to_owned(), out::to_the_second)
}

fn lag(mirror: &MirrorReply) -> String {
    mirror.lag_seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s"))
}
