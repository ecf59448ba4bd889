use super::*;

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
        ("put object: store already closed: adding a bucket", Refusal::Server),
        ("shard a1: already shut or dropped", Refusal::Server),
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
        assert_eq!(classify(message, "TimeoutImages", &["shutdown notice.jpg"]), expected, "{message}");
    }
}
