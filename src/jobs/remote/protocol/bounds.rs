//! Limits on the requests of workers. Everybody who reaches a cluster's dashboard can read a worker's token, so each
//! text and each list of the internal API has a limit. A request above a limit is refused, and the error names the
//! field.

use crate::domain::wire::{RecordsRequest, WireRecord};
use crate::domain::{Space, StoreSet};
use crate::jobs::error::JobsError;
use crate::jobs::remote::protocol::wire::{
    ExitRequest, HeartbeatRequest, JoinRequest, LeaseRequest, LogsRequest, MAX_LINE_BYTES, MAX_LINES, MAX_REASON,
    ModelAnswer, OperatorErrorRequest, ResultRequest,
};
use crate::jobs::remote::same_bucket::ObjectRead;
use crate::pipeline::{ItemOutcome, TaskOutcome, Timings};

/// Maximum bytes of the name of a version, a machine, a dependency or a model.
const MAX_NAME: usize = 1_024;
/// Maximum bytes of a key, a URI, an ETag or a digest.
const MAX_ADDRESS: usize = 4_096;
/// Maximum bytes of a value in a record's metadata: more than a metadata file or the headers of an object can hold.
const MAX_VALUE: usize = 64 * 1_024;
/// Maximum entries of a record's metadata, and maximum folders of its key.
const MAX_ENTRIES: usize = 2_048;
/// Maximum leases that a worker may report as held.
const MAX_HELD: usize = 4_096;
/// Maximum outcomes in one report.
const MAX_OUTCOMES: usize = 10_000;
/// Maximum records or ids in one request.
const MAX_RECORDS: usize = 1_024;
/// Maximum probes of a space.
const MAX_PROBES: usize = 64;
/// Maximum numbers in a vector.
const MAX_DIMENSION: usize = 65_536;

/// A request whose fields are checked before they are used.
pub trait Bounded {
    /// Checks every field.
    ///
    /// # Errors
    /// [`JobsError::Invalid`], which names the field and the limit.
    fn check(&self) -> Result<(), JobsError>;
}

impl Bounded for JoinRequest {
    fn check(&self) -> Result<(), JobsError> {
        check_text("version", "the value", &self.version, MAX_NAME)?;
        check_space(&self.space)?;
        check_stores("stores", &self.stores)?;
        check_text("node", "the value", self.node.as_deref().unwrap_or_default(), MAX_NAME)?;
        if let Some(ModelAnswer::Unusable(reason)) = &self.model {
            check_text("model", "the reason", reason, 4 * MAX_REASON)?;
        }
        let (uri, etag) = self.object.as_ref().map_or_else(Default::default, ObjectRead::texts);
        check_text("object", "`uri`", uri, MAX_ADDRESS)?;
        check_text("object", "`etag`", etag, MAX_ADDRESS)
    }
}

impl Bounded for LeaseRequest {
    fn check(&self) -> Result<(), JobsError> {
        check_list("held", "the value", self.held.as_ref().map_or(0, Vec::len), MAX_HELD)
    }
}

impl Bounded for ResultRequest {
    fn check(&self) -> Result<(), JobsError> {
        check_list("held", "the value", self.held.as_ref().map_or(0, Vec::len), MAX_HELD)?;
        check_list("outcomes", "the value", self.outcomes.len(), MAX_OUTCOMES)?;
        self.outcomes.iter().try_for_each(check_outcome)?;
        check_timings(self.timings.as_ref())
    }
}

impl Bounded for HeartbeatRequest {
    fn check(&self) -> Result<(), JobsError> {
        check_list("held", "the value", self.held.len(), MAX_HELD)?;
        if let Some(waiting) = &self.waiting_on {
            check_text("waiting_on", "`dependency`", &waiting.dependency, MAX_NAME)?;
        }
        check_timings(self.timings.as_ref())
    }
}

impl Bounded for ExitRequest {
    fn check(&self) -> Result<(), JobsError> {
        Ok(())
    }
}

impl Bounded for OperatorErrorRequest {
    fn check(&self) -> Result<(), JobsError> {
        check_text("problem", "the value", &self.problem, MAX_ADDRESS)
    }
}

impl Bounded for LogsRequest {
    fn check(&self) -> Result<(), JobsError> {
        check_list("lines", "the value", self.lines.len(), MAX_LINES)?;
        self.lines.iter().try_for_each(|line| check_text("lines", "one line", line, MAX_LINE_BYTES))
    }
}

impl Bounded for RecordsRequest {
    fn check(&self) -> Result<(), JobsError> {
        match self {
            Self::Upsert { records } => {
                check_list("records", "the value", records.len(), MAX_RECORDS)?;
                records.iter().try_for_each(check_record)
            }
            Self::Get { ids } => check_list("ids", "the value", ids.len(), MAX_RECORDS),
            Self::Describe => Ok(()),
        }
    }
}

fn check_outcome(outcome: &TaskOutcome) -> Result<(), JobsError> {
    match &outcome.result {
        ItemOutcome::Indexed(indexed) | ItemOutcome::PartlyStored(indexed) => {
            check_text("outcomes", "etag", indexed.etag.as_deref().unwrap_or_default(), MAX_ADDRESS)?;
            check_number("outcomes", "size_bytes", indexed.size_bytes)?;
            check_stores("outcomes", &indexed.stores)
        }
        ItemOutcome::Failed(failure) => {
            check_text("outcomes", "uri", failure.uri.as_str(), MAX_ADDRESS)?;
            check_text("outcomes", "message", &failure.message, MAX_LINE_BYTES)
        }
    }
}

fn check_record(WireRecord { payload, vector }: &WireRecord) -> Result<(), JobsError> {
    let address = |what: &str, value: &str| check_text("records", what, value, MAX_ADDRESS);
    address("s3_key", &payload.s3_key)?;
    address("s3_uri", payload.s3_uri.as_str())?;
    address("s3_bucket", &payload.s3_bucket)?;
    address("thumbnail_key", payload.thumbnail_key.as_deref().unwrap_or_default())?;
    address("etag", payload.etag.as_deref().unwrap_or_default())?;
    address("content_sha256", &payload.content_sha256)?;
    address("space", &payload.space)?;
    check_number("records", "size_bytes", payload.size_bytes)?;
    // A number has four bytes, which are 16/3 characters in base64.
    check_text("records", "vector", vector, MAX_DIMENSION * 16 / 3 + 4)?;
    check_list("records", "s3_folders", payload.s3_folders.len(), MAX_ENTRIES)?;
    payload.s3_folders.iter().try_for_each(|folder| address("s3_folders", folder))?;
    check_list("records", "meta", payload.meta.len(), MAX_ENTRIES)?;
    for (name, value) in &payload.meta {
        check_text("records", "a name in `meta`", name, MAX_ADDRESS)?;
        check_text("records", "a value in `meta`", value, MAX_VALUE)?;
    }
    if let Some((fact, limit)) = payload.exif.above_limit() {
        return Err(JobsError::Invalid("records", format!("`{fact}` is longer than {limit}")));
    }
    check_list("records", "meta_kv", payload.meta_kv.len(), MAX_ENTRIES)?;
    payload.meta_kv.iter().try_for_each(|pair| check_text("records", "meta_kv", pair, MAX_VALUE + MAX_ADDRESS + 1))
}

fn check_space(space: &Space) -> Result<(), JobsError> {
    check_text("space", "model", &space.model, MAX_NAME)?;
    check_text("space", "preprocessing", &space.preprocessing, MAX_NAME)?;
    if space.dimension > MAX_DIMENSION {
        let message = format!("the dimension is {}; at most {MAX_DIMENSION} is allowed", space.dimension);
        return Err(JobsError::Invalid("space", message));
    }
    check_list("space", "probes", space.probes.len(), MAX_PROBES)?;
    for probe in &space.probes {
        check_text("space", "the name of a probe", &probe.name, MAX_NAME)?;
        check_list("space", "the vector of a probe", probe.vector.len(), MAX_DIMENSION)?;
    }
    Ok(())
}

fn check_stores(field: &'static str, stores: &StoreSet) -> Result<(), JobsError> {
    let bytes: usize = stores.iter().map(|name| name.len() + 1).sum();
    if bytes <= MAX_NAME {
        return Ok(());
    }
    Err(JobsError::Invalid(
        field,
        format!("the names of the stores have {bytes} bytes; at most {MAX_NAME} are allowed"),
    ))
}

fn check_timings(timings: Option<&Timings>) -> Result<(), JobsError> {
    let values = timings.map_or(0, Timings::max_values);
    check_list("timings", "`took`", values, Timings::MAX_VALUES)
}

/// Checks that a number fits into the ledger, whose integers are signed.
fn check_number(field: &'static str, what: &str, value: u64) -> Result<(), JobsError> {
    if i64::try_from(value).is_ok() {
        return Ok(());
    }
    Err(JobsError::Invalid(field, format!("{what} is {value}; at most {} is allowed", i64::MAX)))
}

fn check_text(field: &'static str, what: &str, value: &str, max: usize) -> Result<(), JobsError> {
    if value.len() <= max {
        return Ok(());
    }
    Err(JobsError::Invalid(field, format!("{what} has {} bytes; at most {max} are allowed", value.len())))
}

fn check_list(field: &'static str, what: &str, length: usize, max: usize) -> Result<(), JobsError> {
    if length <= max {
        return Ok(());
    }
    Err(JobsError::Invalid(field, format!("{what} has {length} entries; at most {max} are allowed")))
}
