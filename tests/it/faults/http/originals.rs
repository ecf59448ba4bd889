//! Originals for slow clients.

use futures::StreamExt as _;
use reqwest::StatusCode;

use super::{REQUEST_TIMEOUT, connect, grown, read_until};
use crate::support::image_id;

const KEY: &str = "images/Caf\u{e9} \u{202e}2024.jpg";
const MB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_do_not_block_other_clients() {
    let (app, large) = grown(KEY, 45 * MB, &[]).await;
    let path = format!("/images/{}/original", image_id(KEY));
    let mut stuck = Vec::new();
    for _ in 0..20 {
        let mut one = connect(&app.url, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        assert!(read_until(&mut one, "\r\n").await.starts_with("HTTP/1.1 200"));
        stuck.push(one);
    }
    let whole = app.client.get(format!("{}{path}", app.url)).send().await.unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(whole.content_length(), Some(large.len() as u64));
    assert_eq!(whole.bytes().await.unwrap(), large);
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_grew_is_sent_in_ranges_and_with_its_file_name() {
    let (app, large) = grown(KEY, 3 * MB, &[]).await;
    let url = format!("{}/images/{}/original", app.url, image_id(KEY));
    let head = app.client.head(&url).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], large.len().to_string().as_str());
    let name = head.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(name, "inline; filename=\"Caf_ 2024.jpg\"; filename*=UTF-8''Caf%C3%A9%202024.jpg");
    let etag = head.headers()["etag"].to_str().unwrap().to_owned();
    let size = large.len();
    for (range, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=100-70000", 100, 70_000),
        ("bytes=2000000-2999999", 2_000_000, 2_999_999),
        ("bytes=-5", size - 5, size - 1),
    ] {
        let part = app.client.get(&url).header("range", range).header("if-range", &etag).send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(part.headers()["content-range"], format!("bytes {from}-{to}/{size}").as_str());
        assert_eq!(part.bytes().await.unwrap(), large[from..=to], "{range}");
    }
    let other = app.client.get(&url).header("range", "bytes=0-9").header("if-range", "\"other\"").send().await.unwrap();
    assert_eq!(other.status(), StatusCode::OK);
    let beyond = app.client.get(&url).header("range", "bytes=99999999-").send().await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let same = app.client.get(&url).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_is_replaced_while_a_slow_client_reads_is_cut_off() {
    let (app, _) = grown(KEY, 45 * MB, &[]).await;
    let url = format!("{}/images/{}/original", app.url, image_id(KEY));
    let client = reqwest::Client::builder().build().unwrap();
    let mut slow = client.get(&url).send().await.unwrap().bytes_stream();
    let first = slow.next().await.unwrap().unwrap();
    app.put(KEY, crate::support::demo_image("panda.jpg")).await;
    // Longer than the bucket's connection waits for a client: the rest is requested again, and is now of another file.
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let mut got = first.len();
    let failed = tokio::time::timeout(REQUEST_TIMEOUT, async {
        while let Some(piece) = slow.next().await {
            match piece {
                Ok(bytes) => got += bytes.len(),
                Err(_) => return true,
            }
        }
        false
    });
    assert!(failed.await.unwrap(), "{got} bytes of two files were taken for one");
}
