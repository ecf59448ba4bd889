//! The embedded S3 server beyond the contract of the port: other clients, and restarts.

use std::net::SocketAddr;
use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, MetadataDirective, ObjectIdentifier,
};
use glimpse::source::{EmbeddedS3, EmbeddedS3Error, EmbeddedS3Settings};
use tokio_util::sync::CancellationToken;

const BUCKET: &str = "pipeline";

fn at(folder: &Path) -> EmbeddedS3Settings {
    let mut settings = EmbeddedS3Settings::in_folder(folder);
    settings.addr.set_port(0);
    settings
}

async fn start(settings: EmbeddedS3Settings) -> EmbeddedS3 {
    EmbeddedS3::start(settings, &CancellationToken::new()).await.unwrap()
}

/// The SDK with its defaults, including checksums.
fn client(server: &EmbeddedS3) -> Client {
    let pair = server.credentials();
    let credentials = Credentials::new(&pair.access_key_id, &pair.secret_access_key, None, None, "test");
    let config = Builder::new()
        .behavior_version_latest()
        .region(Region::new("eu-central-1"))
        .credentials_provider(credentials)
        .endpoint_url(server.endpoint())
        .force_path_style(true);
    Client::from_conf(config.build())
}

async fn put(client: &Client, key: &str, body: &'static [u8]) {
    client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(body)).send().await.unwrap();
}

/// The code of the error of a call.
macro_rules! code {
    ($call:expr) => {
        $call.send().await.unwrap_err().code().map(str::to_owned).as_deref()
    };
}

async fn body(client: &Client, key: &str) -> Vec<u8> {
    let reply = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
    reply.body.collect().await.unwrap().to_vec()
}

#[tokio::test]
async fn a_restart_keeps_objects_and_credentials_and_removes_leftovers() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(at(folder.path())).await;
    let pair = server.credentials().clone();
    put(&client(&server), "kept", b"one").await;
    put(&client(&server), "kept", b"two").await;
    put(&client(&server), "removed", b"three").await;
    client(&server).delete_object().bucket(BUCKET).key("removed").send().await.unwrap();
    server.stop().await;
    // As after a crash while writing: the name is recorded and the file exists, but no object has it.
    let leftover = folder.path().join("objects/ff/0000ff");
    std::fs::write(&leftover, b"half").unwrap();
    let catalogue = rusqlite::Connection::open(folder.path().join("catalogue.sqlite")).unwrap();
    catalogue.execute("INSERT INTO loose VALUES ('0000ff')", ()).unwrap();
    drop(catalogue);

    let server = start(at(folder.path())).await;
    assert_eq!(*server.credentials(), pair);
    assert_eq!(EmbeddedS3::stored_credentials(folder.path()).unwrap(), Some(pair));
    assert_eq!(body(&client(&server), "kept").await, b"two");
    assert!(!leftover.exists());
    assert_eq!(files(&folder.path().join("objects")), 1, "replaced and removed bytes are gone");
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn ranges_and_conditions_of_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(at(folder.path())).await;
    let client = client(&server);
    put(&client, "o", b"0123456789").await;
    let get = || client.get_object().bucket(BUCKET).key("o");
    for (range, bytes, shown) in [
        ("bytes=2-4", &b"234"[..], "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ] {
        let part = get().range(range).send().await.unwrap();
        assert_eq!(part.content_range.as_deref(), Some(shown));
        assert_eq!(part.body.collect().await.unwrap().to_vec(), bytes, "{range}");
    }
    assert_eq!(code!(get().range("bytes=10-")), Some("InvalidRange"));
    put(&client, "empty", b"").await;
    assert_eq!(code!(client.get_object().bucket(BUCKET).key("empty").range("bytes=-5")), Some("InvalidRange"));
    let head = client.head_object().bucket(BUCKET).key("o").send().await.unwrap();
    assert_eq!((head.content_length, head.content_type.as_deref()), (Some(10), Some("application/octet-stream")));
    let etag = head.e_tag.unwrap();
    assert_eq!(etag, "\"781e5e245d69b566979b86e28d23f2c7\"");
    let unchanged = get().if_none_match(&etag).send().await.unwrap_err();
    assert_eq!(unchanged.raw_response().unwrap().status().as_u16(), 304);
    assert_eq!(code!(get().if_match("\"other\"")), Some("PreconditionFailed"));
    let again = client.put_object().bucket(BUCKET).key("o").if_none_match("*");
    assert_eq!(code!(again), Some("PreconditionFailed"));
    assert_eq!(body(&client, "o").await, b"0123456789");
}

#[tokio::test]
async fn every_kind_of_checksum_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(at(folder.path())).await;
    let client = client(&server);
    let put = || client.put_object().bucket(BUCKET).key("o").body(ByteStream::from_static(b"hello"));
    for algorithm in ChecksumAlgorithm::values() {
        let name = ChecksumAlgorithm::from(*algorithm);
        if matches!(*algorithm, "CRC32" | "CRC32C" | "CRC64NVME" | "SHA1" | "SHA256") {
            put().checksum_algorithm(name).send().await.unwrap();
        }
    }
    assert_eq!(code!(put().checksum_crc32("AAAAAA==")), Some("BadDigest"));
    assert_eq!(code!(put().content_md5("AAAAAAAAAAAAAAAAAAAAAA==")), Some("BadDigest"));
    put().content_md5("XUFAKrxLKna5cZ2REBfFkg==").send().await.unwrap();
    assert_eq!(files(&folder.path().join("objects")), 1, "a refused upload leaves nothing");
}

#[tokio::test]
async fn folders_are_listed_by_delimiter_in_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(at(folder.path())).await;
    let client = client(&server);
    for key in ["a/1", "a/2", "b", "c d/3"] {
        put(&client, key, b"x").await;
    }
    let list = || client.list_objects_v2().bucket(BUCKET).delimiter("/").max_keys(2);
    let first = list().send().await.unwrap();
    assert_eq!((first.key_count, first.is_truncated), (Some(2), Some(true)));
    let prefixes: Vec<_> = first.common_prefixes().iter().filter_map(|prefix| prefix.prefix()).collect();
    assert_eq!((prefixes, first.contents()[0].key()), (vec!["a/"], Some("b")));
    let rest = list().continuation_token(first.next_continuation_token.unwrap()).send().await.unwrap();
    assert_eq!(rest.common_prefixes()[0].prefix(), Some("c d/"));
    assert_eq!(rest.is_truncated, Some(false));
    assert_eq!(code!(list().continuation_token("nonsense")), Some("InvalidArgument"));

    let list = || client.list_objects().bucket(BUCKET).max_keys(3);
    let first = list().send().await.unwrap();
    let rest = list().marker(first.next_marker.unwrap()).send().await.unwrap();
    assert_eq!((first.contents.unwrap().len(), rest.contents()[0].key()), (3, Some("c d/3")));
}

#[tokio::test]
async fn copies_deletions_and_buckets() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(at(folder.path())).await;
    let client = client(&server);
    let put = client.put_object().bucket(BUCKET).key("a b").content_type("image/png").metadata("k", "v");
    put.body(ByteStream::from_static(b"x")).send().await.unwrap();
    let copy = || client.copy_object().bucket(BUCKET).copy_source("pipeline/a%20b");
    copy().key("copy").send().await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("copy").send().await.unwrap();
    assert_eq!((head.content_type.as_deref(), head.metadata.unwrap()["k"].as_str()), (Some("image/png"), "v"));
    copy().key("other").metadata_directive(MetadataDirective::Replace).send().await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("other").send().await.unwrap();
    assert!(head.metadata.unwrap().is_empty());

    assert_eq!(code!(client.delete_bucket().bucket(BUCKET)), Some("BucketNotEmpty"));
    let ids = ["a b", "copy", "other", "never there"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(ids.to_vec())).build().unwrap();
    let deleted = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!(deleted.deleted().len(), 4);
    client.create_bucket().bucket("second").send().await.unwrap();
    assert_eq!(code!(client.create_bucket().bucket("second")), Some("BucketAlreadyOwnedByYou"));
    client.delete_bucket().bucket(BUCKET).send().await.unwrap();
    let left = client.list_buckets().send().await.unwrap();
    assert_eq!(left.buckets().iter().filter_map(|bucket| bucket.name()).collect::<Vec<_>>(), ["second"]);
    assert_eq!(code!(client.list_objects_v2().bucket(BUCKET)), Some("NoSuchBucket"));
}

#[tokio::test]
async fn a_completed_multipart_upload_is_one_object_and_an_aborted_one_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(at(folder.path())).await;
    let client = client(&server);
    let begin = || client.create_multipart_upload().bucket(BUCKET).key("big").content_type("image/png").send();
    let upload = begin().await.unwrap().upload_id.unwrap();
    let part = |number, body| {
        let part = client.upload_part().bucket(BUCKET).key("big").upload_id(&upload).part_number(number);
        part.body(ByteStream::from_static(body)).send()
    };
    part(2, b"lost").await.unwrap();
    let second = part(2, b" world").await.unwrap().e_tag.unwrap();
    let first = part(1, b"hello").await.unwrap().e_tag.unwrap();
    part(3, b"never named").await.unwrap();
    let named = |number, etag: &str| CompletedPart::builder().part_number(number).e_tag(etag).build();
    let complete = |parts: Vec<CompletedPart>| {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        client.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(&upload).multipart_upload(parts)
    };
    assert_eq!(code!(complete(vec![named(2, &second), named(1, &first)])), Some("InvalidPartOrder"));
    assert_eq!(code!(complete(vec![named(1, &second)])), Some("InvalidPart"));
    let done = complete(vec![named(1, &first), named(2, &second)]).send().await.unwrap();
    assert_eq!(done.e_tag.as_deref(), Some("\"a56979024342128ecebc884e3442121b-2\""));
    assert_eq!(body(&client, "big").await, b"hello world");
    assert_eq!(code!(complete(vec![named(1, &first)])), Some("NoSuchUpload"));
    assert_eq!(files(&folder.path().join("objects")), 1);

    let upload = begin().await.unwrap().upload_id.unwrap();
    let part = client.upload_part().bucket(BUCKET).key("big").upload_id(&upload).part_number(1);
    part.body(ByteStream::from_static(b"x")).send().await.unwrap();
    client.abort_multipart_upload().bucket(BUCKET).key("big").upload_id(&upload).send().await.unwrap();
    assert_eq!(body(&client, "big").await, b"hello world");
    assert_eq!(files(&folder.path().join("objects")), 1);
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(EmbeddedS3Settings { max_object_bytes: 4, ..at(folder.path()) }).await;
    let client = client(&server);
    let put = client.put_object().bucket(BUCKET).key("o").body(ByteStream::from_static(b"12345"));
    assert_eq!(code!(put), Some("EntityTooLarge"));
    assert_eq!(files(&folder.path().join("objects")), 0);
}

#[tokio::test]
async fn an_unusable_address_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(at(folder.path())).await;
    let in_use = EmbeddedS3Settings { addr: server.addr(), ..at(tempfile::tempdir().unwrap().path()) };
    let error = EmbeddedS3::start(in_use, &CancellationToken::new()).await.unwrap_err().to_string();
    assert!(error.contains(&server.addr().to_string()) && error.contains("GLIMPSE_S3_ADDR"), "{error}");
    let everywhere = EmbeddedS3Settings { addr: SocketAddr::from(([0, 0, 0, 0], 0)), ..at(folder.path()) };
    let error = EmbeddedS3::start(everywhere, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, EmbeddedS3Error::Remote(_)), "{error}");
}

#[tokio::test]
async fn cancelling_the_token_stops_it_even_with_open_connections() {
    let folder = tempfile::tempdir().unwrap();
    let token = CancellationToken::new();
    let server = EmbeddedS3::start(at(folder.path()), &token).await.unwrap();
    let client = client(&server);
    put(&client, "o", b"x").await;
    token.cancel();
    server.stopped().await;
    tokio::net::TcpStream::connect(server.addr()).await.unwrap_err();
}
