//! Bounds of what workers send. A worker's token can be read by everybody who reaches a cluster's dashboard, so each text and
//! each list of the internal API has a bound, and what is above it is refused by the name of its field.

use super::error::JobsError;
use super::wire::{
    ExitRequest, HeartbeatRequest, JoinRequest, LeaseRequest, LogsRequest, MAX_LINE_BYTES, MAX_LINES,
    OperatorErrorRequest, ResultRequest,
};
use crate::domain::wire::{RecordsRequest, WireRecord};
use crate::domain::{Space, StoreSet};
use crate::pipeline::{ItemOutcome, TaskOutcome, Timings};

/// Bytes of the name of a version, a machine, a dependency, a model.
const MAX_NAME: usize = 1_024;
/// Bytes of a key, a URI, an ETag, a digest.
const MAX_ADDRESS: usize = 4_096;
/// Bytes of a value of a record's metadata: more than a metadata file or the headers of an object can hold.
const MAX_VALUE: usize = 64 * 1_024;
/// Entries of a record's metadata, and folders of its key.
const MAX_ENTRIES: usize = 2_048;
/// Leases that a worker may name as held.
const MAX_HELD: usize = 4_096;
/// Outcomes of one report.
const MAX_OUTCOMES: usize = 10_000;
/// Records or ids of one request.
const MAX_RECORDS: usize = 1_024;
/// Probes of a space, and numbers of a vector.
const MAX_PROBES: usize = 64;
const MAX_DIMENSION: usize = 65_536;

/// A request whose fields are checked before anything is done with them.
pub trait Bounded {
    /// Checks every field.
    ///
    /// # Errors
    /// [`JobsError::Invalid`], which names the field and the bound.
    fn check(&self) -> Result<(), JobsError>;
}

impl Bounded for JoinRequest {
    fn check(&self) -> Result<(), JobsError> {
        text("version", "it", &self.version, MAX_NAME)?;
        space(&self.space)?;
        holders("stores", &self.stores)?;
        text("node", "it", self.node.as_deref().unwrap_or_default(), MAX_NAME)
    }
}

impl Bounded for LeaseRequest {
    fn check(&self) -> Result<(), JobsError> {
        list("held", "it", self.held.as_ref().map_or(0, Vec::len), MAX_HELD)
    }
}

impl Bounded for ResultRequest {
    fn check(&self) -> Result<(), JobsError> {
        list("held", "it", self.held.as_ref().map_or(0, Vec::len), MAX_HELD)?;
        list("outcomes", "it", self.outcomes.len(), MAX_OUTCOMES)?;
        self.outcomes.iter().try_for_each(outcome)?;
        timings(self.timings.as_ref())
    }
}

impl Bounded for HeartbeatRequest {
    fn check(&self) -> Result<(), JobsError> {
        list("held", "it", self.held.len(), MAX_HELD)?;
        if let Some(waiting) = &self.waiting_on {
            text("waiting_on", "dependency", &waiting.dependency, MAX_NAME)?;
        }
        timings(self.timings.as_ref())
    }
}

impl Bounded for ExitRequest {
    fn check(&self) -> Result<(), JobsError> {
        Ok(())
    }
}

impl Bounded for OperatorErrorRequest {
    fn check(&self) -> Result<(), JobsError> {
        text("problem", "it", &self.problem, MAX_ADDRESS)
    }
}

impl Bounded for LogsRequest {
    fn check(&self) -> Result<(), JobsError> {
        list("lines", "it", self.lines.len(), MAX_LINES)?;
        self.lines.iter().try_for_each(|line| text("lines", "a line", line, MAX_LINE_BYTES))
    }
}

impl Bounded for RecordsRequest {
    fn check(&self) -> Result<(), JobsError> {
        match self {
            Self::Upsert { records } => {
                list("records", "it", records.len(), MAX_RECORDS)?;
                records.iter().try_for_each(record)
            }
            Self::Get { ids } => list("ids", "it", ids.len(), MAX_RECORDS),
            Self::Describe => Ok(()),
        }
    }
}

fn outcome(outcome: &TaskOutcome) -> Result<(), JobsError> {
    match &outcome.fate {
        ItemOutcome::Indexed(indexed) | ItemOutcome::Lags(indexed) => {
            text("outcomes", "etag", indexed.etag.as_deref().unwrap_or_default(), MAX_ADDRESS)?;
            number("outcomes", "size_bytes", indexed.size_bytes)?;
            holders("outcomes", &indexed.stores)
        }
        ItemOutcome::Failed(failure) => {
            text("outcomes", "uri", failure.uri.as_str(), MAX_ADDRESS)?;
            text("outcomes", "message", &failure.message, MAX_LINE_BYTES)
        }
    }
}

fn record(WireRecord { payload, vector }: &WireRecord) -> Result<(), JobsError> {
    let address = |what: &str, value: &str| text("records", what, value, MAX_ADDRESS);
    address("s3_key", &payload.s3_key)?;
    address("s3_uri", payload.s3_uri.as_str())?;
    address("s3_bucket", &payload.s3_bucket)?;
    address("thumbnail_key", payload.thumbnail_key.as_deref().unwrap_or_default())?;
    address("etag", payload.etag.as_deref().unwrap_or_default())?;
    address("content_sha256", &payload.content_sha256)?;
    address("space", &payload.space)?;
    number("records", "size_bytes", payload.size_bytes)?;
    // Four bytes of a number are 16/3 letters of base64.
    text("records", "vector", vector, MAX_DIMENSION * 16 / 3 + 4)?;
    list("records", "s3_folders", payload.s3_folders.len(), MAX_ENTRIES)?;
    payload.s3_folders.iter().try_for_each(|folder| address("s3_folders", folder))?;
    list("records", "meta", payload.meta.len(), MAX_ENTRIES)?;
    for (name, value) in &payload.meta {
        text("records", "a name in meta", name, MAX_ADDRESS)?;
        text("records", "a value in meta", value, MAX_VALUE)?;
    }
    list("records", "meta_kv", payload.meta_kv.len(), MAX_ENTRIES)?;
    payload.meta_kv.iter().try_for_each(|pair| text("records", "meta_kv", pair, MAX_VALUE + MAX_ADDRESS + 1))
}

fn space(space: &Space) -> Result<(), JobsError> {
    text("space", "model", &space.model, MAX_NAME)?;
    text("space", "preprocessing", &space.preprocessing, MAX_NAME)?;
    if space.dimension > MAX_DIMENSION {
        let said = format!("dimension is {}; at most {MAX_DIMENSION} is allowed", space.dimension);
        return Err(JobsError::Invalid("space", said));
    }
    list("space", "probes", space.probes.len(), MAX_PROBES)?;
    for probe in &space.probes {
        text("space", "the name of a probe", &probe.name, MAX_NAME)?;
        list("space", "the vector of a probe", probe.vector.len(), MAX_DIMENSION)?;
    }
    Ok(())
}

fn holders(field: &'static str, holders: &StoreSet) -> Result<(), JobsError> {
    let bytes: usize = holders.iter().map(|name| name.len() + 1).sum();
    if bytes <= MAX_NAME {
        return Ok(());
    }
    Err(JobsError::Invalid(field, format!("the stores have {bytes} bytes; at most {MAX_NAME} are allowed")))
}

fn timings(timings: Option<&Timings>) -> Result<(), JobsError> {
    let most = timings.map_or(0, Timings::max_values);
    list("timings", "took", most, Timings::MAX_VALUES)
}

/// The ledger's numbers have a sign.
fn number(field: &'static str, what: &str, value: u64) -> Result<(), JobsError> {
    if i64::try_from(value).is_ok() {
        return Ok(());
    }
    Err(JobsError::Invalid(field, format!("{what} is {value}; at most {} is allowed", i64::MAX)))
}

fn text(field: &'static str, what: &str, value: &str, max: usize) -> Result<(), JobsError> {
    if value.len() <= max {
        return Ok(());
    }
    Err(JobsError::Invalid(field, format!("{what} has {} bytes; at most {max} are allowed", value.len())))
}

fn list(field: &'static str, what: &str, length: usize, max: usize) -> Result<(), JobsError> {
    if length <= max {
        return Ok(());
    }
    Err(JobsError::Invalid(field, format!("{what} has {length} entries; at most {max} are allowed")))
}
