//! Results as CSV and NDJSON.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Cli;
use crate::support::{TestApp, demo_image};

/// More than one page of the API.
const IMAGES: usize = 130;

fn column(csv: &str, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let place = reader.headers().unwrap().iter().position(|header| header == name).unwrap();
    reader.records().map(|row| row.unwrap()[place].to_owned()).collect()
}

fn field(ndjson: &str, name: &str) -> Vec<String> {
    let rows = ndjson.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| row[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_a_search_and_of_a_list_is_exported() {
    let app = TestApp::start().await;
    let cli = Cli::new(&app);
    for number in 0..IMAGES - 1 {
        app.put(&format!("images/{number:03}.jpg"), demo_image("cat.jpg")).await;
    }
    app.put("=1+1, \"x\".jpg", demo_image("panda.jpg")).await;
    app.ingest_with(serde_json::json!({"s3_prefix": ""})).await;

    let csv = cli.run(0, &["search", "a cat", "--all", "--output-format", "csv"]).await;
    let ranks: Vec<usize> = column(&csv, "rank").iter().map(|rank| rank.parse().unwrap()).collect();
    assert_eq!(ranks, (1..=IMAGES).collect::<Vec<_>>());
    let scores: Vec<f64> = column(&csv, "score").iter().map(|score| score.parse().unwrap()).collect();
    assert!(scores.is_sorted_by(|one, next| one >= next), "{scores:?}");
    let keys: BTreeSet<String> = column(&csv, "s3_key").into_iter().collect();
    assert!(keys.len() == IMAGES && keys.contains("'=1+1, \"x\".jpg"), "{keys:?}");
    let ndjson = cli.run(0, &["search", "a cat", "--all", "--output-format", "ndjson", "--offset", "100"]).await;
    assert_eq!(field(&ndjson, "id"), column(&csv, "id").split_off(100));
    let page = cli.run(0, &["search", "a cat", "--limit", "3", "--output-format", "csv"]).await;
    assert_eq!(column(&page, "id"), column(&csv, "id")[..3]);

    let list = cli.run(0, &["images", "list", "--all", "--order", "key", "--output-format", "csv"]).await;
    let listed = column(&list, "s3_key");
    assert!(listed.len() == IMAGES && listed[0] == "'=1+1, \"x\".jpg" && listed[1] == "images/000.jpg", "{listed:?}");
    let rest = cli.run(0, &["images", "list", "--all", "--order", "key", "--output-format", "ndjson"]).await;
    assert_eq!(field(&rest, "s3_key")[0], "=1+1, \"x\".jpg", "JSON has the text itself");
    assert_eq!(column(&list, "content_sha256"), field(&rest, "content_sha256"));
    let none = cli.run(0, &["images", "list", "--all", "--s3-prefix", "none/", "--output-format", "csv"]).await;
    assert!(none.starts_with("id,collection,s3_uri,") && none.lines().count() == 1, "{none}");

    // At most 200 results if similar images are one.
    let similar = cli.run(0, &["search", "a cat", "--all", "--output-format", "csv", "--collapse", "similar"]).await;
    assert_eq!(column(&similar, "s3_key").len(), 2, "{similar}");
    assert!(cli.run(2, &["search", "a cat", "--all"]).await.contains("--output-format"));
    assert!(cli.run(2, &["search", "a", "--all", "--limit", "3", "--output-format", "csv"]).await.contains("--limit"));
    assert!(cli.run(2, &["search", "a", "--output-format", "xml"]).await.contains("csv or ndjson"));
}
