//! Objects that were uploaded in parts, whose ETag is not an MD5.

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use glimpse::source::{ImageSource, S3Settings, S3Source};

use super::Fixture;

/// The minimum size of a part that is not the last one.
const PART: usize = 5 << 20;

pub(super) async fn an_upload_in_parts_is_one_object(fixture: &Fixture) {
    let settings = S3Settings { max_bytes: 8 << 20, ..fixture.settings.clone() };
    let mut whole = vec![7_u8; PART];
    whole.extend_from_slice(b"end");
    upload(&settings, &fixture.bucket, "in parts.jpg", &[&whole[..PART], &whole[PART..]]).await;

    let source = S3Source::new(settings).await.unwrap();
    let listed = fixture.list("in parts", None).await.remove(0);
    let fetched = source.fetch(&listed).await.unwrap();
    assert!(fetched.bytes == whole, "{} bytes came back", fetched.bytes.len());
    let etag = fetched.etag.clone().unwrap();
    assert!(etag.ends_with("-2") && !etag.contains('"'), "{etag}");
    assert_eq!((listed.etag, listed.size_bytes), (fetched.etag, whole.len() as u64));
}

async fn upload(settings: &S3Settings, bucket: &str, key: &str, parts: &[&[u8]]) {
    let pair = settings.credentials.clone().unwrap();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .endpoint_url(settings.endpoint.clone().unwrap())
        .force_path_style(true)
        .credentials_provider(Credentials::new(pair.access_key_id, pair.secret_access_key, None, None, "test"))
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let started = client.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
    let id = started.upload_id().unwrap();
    let mut done = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(parts) {
        let sent = client.upload_part().bucket(bucket).key(key).upload_id(id).part_number(number);
        let sent = sent.body(part.to_vec().into()).send().await.unwrap();
        let part =
            CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).set_checksum_crc32(sent.checksum_crc32);
        done = done.parts(part.build());
    }
    let end = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(id).multipart_upload(done.build());
    end.send().await.unwrap();
}
