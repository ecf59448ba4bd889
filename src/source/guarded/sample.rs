//! A sample of the objects of a bucket: which of them are read, and what the results mean.

use crate::domain::{DependencyError, FailureKind, ImageRef, ImageUri, OperatorError};
use crate::source::SourceError;

/// Maximum number of objects that are read before the bucket counts as unreadable.
const MAX_SAMPLE: usize = 40;
/// Number of objects of one part of the listing that are read.
const SAMPLE_PER_SCOPE: usize = 4;
/// Number of objects for which the service fails before it counts as failing for all of them.
const MAX_FAILED: usize = 4;

/// The result of reading a sample of the bucket's objects.
pub(super) enum Sample {
    /// At least one object can be read.
    Readable,
    /// Every object was refused.
    Refused { tried: usize, last: SourceError },
    /// The service failed for every object.
    Failed(SourceError),
    /// There is no other object that tells anything.
    Empty,
}

/// The results of a sample so far.
#[derive(Default)]
pub(super) struct Results {
    refused: usize,
    last_refusal: Option<SourceError>,
    failed: usize,
    last_failure: Option<SourceError>,
}

impl Results {
    /// Adds one result. Returns the sample's result if it is clear.
    pub(super) fn add(&mut self, uri: &ImageUri, result: Result<(), SourceError>) -> Option<Sample> {
        match result {
            Ok(()) => return Some(Sample::Readable),
            Err(SourceError::Dependency(error)) => self.fail(error.into()),
            Err(SourceError::BrokenOff { got, expected, .. }) => {
                self.fail(bodies_break_off(uri, got, expected).into());
            }
            Err(error) if is_refusal(&error) => {
                self.refused += 1;
                self.last_refusal = Some(error);
            }
            Err(_) => {}
        }
        (self.failed >= MAX_FAILED || self.refused + self.failed >= MAX_SAMPLE).then(|| std::mem::take(self).sum_up())
    }

    fn fail(&mut self, error: SourceError) {
        self.failed += 1;
        self.last_failure = Some(error);
    }

    pub(super) fn sum_up(self) -> Sample {
        match (self.last_failure, self.last_refusal) {
            (Some(error), _) if self.failed >= self.refused => Sample::Failed(error),
            (_, Some(last)) => Sample::Refused { tried: self.refused, last },
            (Some(error), None) => Sample::Failed(error),
            (None, None) => Sample::Empty,
        }
    }
}

/// Whether the service refused the object, for a reason that can be the object's own or can concern the whole bucket.
pub(super) fn is_refusal(error: &SourceError) -> bool {
    matches!(error, SourceError::Denied(_) | SourceError::Missing(_) | SourceError::Refused { .. })
}

/// Returns the objects of these keys that are read: evenly spaced, with the first and the last one.
pub(super) fn evenly_spaced(keys: &[ImageRef]) -> impl Iterator<Item = &ImageRef> {
    let steps = SAMPLE_PER_SCOPE - 1;
    (0..=steps).filter_map(move |step| keys.get(keys.len().saturating_sub(1) * step / steps))
}

/// Returns the key after which the objects outside the top-level folder of `first` begin; without a folder, the last
/// key.
pub(super) fn after_folder(first: &str, keys: &[ImageRef]) -> String {
    match first.split_once('/') {
        // `0` is the character after `/`.
        Some((folder, _)) => format!("{folder}0"),
        None => keys.last().map_or(first, |last| last.uri.key()).to_owned(),
    }
}

fn bodies_break_off(uri: &ImageUri, got: u64, expected: u64) -> DependencyError {
    let detail = format!("the bodies of several objects end too early; {uri} ended after {got} of {expected} bytes");
    DependencyError { dependency: "s3".to_owned(), failure: FailureKind::Failed, detail }
}

pub(super) fn no_longer_readable(bucket: &str, error: &SourceError) -> SourceError {
    SourceError::Operator(OperatorError {
        problem: format!(
            "objects of the bucket `{bucket}` that could be read before can no longer be read; the last reply: {error}"
        ),
        advice: "check S3_ENDPOINT, and that S3_ACCESS_KEY_ID may still read the objects (s3:GetObject)".to_owned(),
        detail: error.to_string(),
    })
}

pub(super) fn never_readable(bucket: &str, tried: usize, error: &SourceError) -> OperatorError {
    OperatorError {
        problem: format!(
            "the bucket `{bucket}` can be listed, but its objects cannot be read: the service refused all {tried} \
             objects that were tried; the last reply: {error}"
        ),
        advice: "allow the credentials s3:GetObject on the objects of the bucket (and kms:Decrypt if they are \
                 encrypted), or set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY to credentials that may read them; \
                 also check S3_ENDPOINT"
            .to_owned(),
        detail: error.to_string(),
    }
}

/// Returns the error if the service answers with other bytes than those of the objects.
pub(super) fn wrong_contents(bucket: &str, tried: usize, error: &SourceError) -> OperatorError {
    OperatorError {
        problem: format!(
            "the bucket `{bucket}` can be listed, but the service answers the reads of all {tried} objects that were \
             tried with something else; the last reply: {error}"
        ),
        advice: "check S3_ENDPOINT: a proxy, a sign-in page or a broken storage may answer in place of the service"
            .to_owned(),
        detail: error.to_string(),
    }
}
