use super::*;

fn name() -> CollectionName {
    CollectionName::parse("documents").unwrap()
}

fn kind(error: IndexError) -> FailureKind {
    match error {
        IndexError::Dependency(down) => down.trouble,
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
    assert_eq!(limit(&many).map(|limit| (limit.bound, limit.allowed)), Some((Bound::Results, Some(100))));
    assert!(from_status(&many, &name()).to_string().contains("QUERY_MAXIMUM_RESULTS '100'"));
    let mut limited = Status::resource_exhausted("usage limit");
    limited.metadata_mut().insert("retry-after", "7".parse().unwrap());
    assert_eq!(kind(from_status(&limited, &name())), FailureKind::Busy { retry_after: Duration::from_secs(7) });
}

#[test]
fn refusals_of_an_object_differ_from_errors_of_the_server() {
    for (message, expected) in [
        (
            "auto-schema: create collection: property 'guard': At least one nested property is required",
            Refusal::NoClass,
        ),
        ("class 'DocumentsImages' not present in schema", Refusal::NoClass),
        ("import into non-existing index for DocumentsImages", Refusal::NoClass),
        ("auto-schema: update collection: property 'guard': At least one nested property", Refusal::OtherClass),
        ("store is read-only due to: disk usage too high", Refusal::Server),
        ("put local object: shard=\"a1\": store is read-only", Refusal::Server),
        ("shard read-only: STATUS_READONLY", Refusal::Server),
        ("put object: not enough memory", Refusal::Server),
        ("cannot process batch: not enough memory mappings", Refusal::Server),
        ("write /var/lib/weaviate/x/lsm/objects/segment.wal: no space left on device", Refusal::Server),
        ("context deadline exceeded", Refusal::Server),
        ("cannot achieve consistency level \"QUORUM\": cannot reach enough replicas", Refusal::Server),
        ("dial tcp 10.0.0.1:7001: i/o timeout", Refusal::Server),
        ("broadcast: unexpected status code 503 ()", Refusal::Server),
        ("server is shutting down", Refusal::Server),
        ("shard busy: structural vector op in progress", Refusal::Server),
        // Names and quoted values are ignored.
        ("invalid date property 'indexed_at' on class 'A': the given value is 'timeout.jpg'", Refusal::Object),
        ("invalid text property 's3_key' on class 'Timeout': read-only, but it's a replica", Refusal::Object),
        (
            "replica \"node2\": new node has a vector with length 2. Existing nodes have vectors with length 4",
            Refusal::Object,
        ),
        ("import into TimeoutImages: timeout.jpg is odd", Refusal::Unknown),
        ("'no space left' is no value for a/timeout/b.jpg, read-only_copy.png or x.timeout", Refusal::Unknown),
        ("the value of a shutdown notice.jpg is odd", Refusal::Unknown),
        ("an unexpected error occurred: index out of range", Refusal::Unknown),
        ("new node has a vector with length 2. Existing nodes have vectors with length 4", Refusal::Object),
        ("invalid text property 's3_key' on class 'A': not a string, but float64", Refusal::Object),
    ] {
        assert_eq!(refusal(message, "TimeoutImages", &["shutdown notice.jpg"]), expected, "{message}");
    }
}
