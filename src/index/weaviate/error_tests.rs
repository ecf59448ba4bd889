use super::*;
use crate::index::weaviate::limit::Bound;

fn name() -> CollectionName {
    CollectionName::parse("documents").unwrap()
}

fn kind(error: IndexError) -> FailureKind {
    match error {
        IndexError::Dependency(down) => down.failure,
        other => panic!("{other}"),
    }
}

#[test]
fn each_grpc_code_has_one_kind_of_failure() {
    let kind_of = |code: Code| kind(from_status(&Status::new(code, "words"), &name()));
    assert_eq!(kind_of(Code::DeadlineExceeded), FailureKind::TimedOut);
    assert_eq!(kind_of(Code::ResourceExhausted), FailureKind::Busy { retry_after: DEFAULT_RETRY_DELAY });
    for down in [Code::Unavailable, Code::Unknown, Code::Internal, Code::DataLoss, Code::Aborted, Code::Cancelled] {
        assert_eq!(kind_of(down), FailureKind::Failed, "{down:?}");
    }
    for settings in [
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::FailedPrecondition,
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::OutOfRange,
        Code::Unimplemented,
    ] {
        assert_eq!(kind_of(settings), FailureKind::Refused, "{settings:?}");
    }
}

#[test]
fn an_unspecific_code_is_classified_by_its_message() {
    let error_of = |message: &str| from_status(&Status::unknown(message), &name());
    for gone in [
        "could not find class DocumentsImages in schema",
        "aggregate: tried to browse non-existing index for DocumentsImages",
        "explorer: get class: class not found in schema",
        "explorer: get class: validate target vector: class \"DocumentsImages\" not found",
    ] {
        assert_eq!(error_of(gone), IndexError::UnknownCollection(name()), "{gone}");
    }
    for refused in [
        "extract auth: anonymous access not enabled",
        "explorer: get class: vector search: … vector lengths don't match: 4 vs 2",
    ] {
        assert_eq!(kind(error_of(refused)), FailureKind::Refused, "{refused}");
    }
    assert_eq!(kind(error_of("something else")), FailureKind::Failed);
    assert_eq!(kind(error_of("search: context deadline exceeded")), FailureKind::TimedOut);
    assert_eq!(kind(from_status(&Status::cancelled("Timeout expired"), &name())), FailureKind::TimedOut);
    let large = Status::resource_exhausted("grpc: received message larger than max (5 vs. 4)");
    assert_eq!(kind(from_status(&large, &name())), FailureKind::Misconfigured);
    let many = "query maximum results exceeded: … exceeds the configured value for QUERY_MAXIMUM_RESULTS '100'.";
    let many = Status::unknown(many);
    assert_eq!(find_limit(&many).map(|limit| (limit.bound, limit.allowed)), Some((Bound::Results, Some(100))));
    assert!(from_status(&many, &name()).to_string().contains("QUERY_MAXIMUM_RESULTS '100'"));
    let mut limited = Status::resource_exhausted("usage limit");
    limited.metadata_mut().insert("retry-after", "7".parse().unwrap());
    assert_eq!(kind(from_status(&limited, &name())), FailureKind::Busy { retry_after: Duration::from_secs(7) });
}
