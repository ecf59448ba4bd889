//! The relevance of search results: how good it is, and when it is known.

mod refit;

use std::collections::BTreeMap;
use std::path::Path;

use glimpse::calibration::measured_file;
use glimpse::embed::local::LocalProvider;
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::demo::demo_service;
use crate::support::environment::variable;
use crate::support::{TestApp, demo_image, image_id, root};

/// Texts that fit no image, none of which is part of the calibration.
const UNRELATED: [&str; 40] = [
    "xxxxxxx",
    "annual budget forecast",
    "qwertz uiop",
    "the logarithm of ten",
    "dolore magna aliqua",
    "connection timed out",
    "mvbtr sdlkw",
    "a software licence",
    "9876543210",
    "the idea of freedom",
    "git commit --amend",
    "mortgage refinancing",
    "snorvle quib",
    "unemployment statistics",
    "??",
    "sometime next week",
    "segmentation fault",
    "supreme court ruling",
    "eeeeeeee",
    "pursuant to article nine",
    "a differential equation",
    "rrr ttt yyy",
    "monetary union",
    "because nevertheless meanwhile",
    "quantum entanglement theory",
    "user@mail.invalid",
    "minutes of the board",
    "poiu lkjh",
    "a major scale in music",
    "moral relativism",
    "kind regards",
    "drembling ofnax",
    "average interest payments",
    "77777",
    "the passive voice",
    "supply and demand curve",
    "stack overflow in line 12",
    "privacy policy update",
    "a rumour about nothing",
    "öäü ßßß",
];

async fn find(app: &TestApp, query: &str) -> Value {
    let (status, reply) = app.get(&format!("/search/images?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{query}: {reply}");
    reply
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Set `GLIMPSE_TEST_UPDATE=1` to write the file.
#[tokio::test(flavor = "multi_thread")]
async fn the_calibration_of_the_built_in_model_is_that_of_its_file() {
    let provider = LocalProvider::start(std::num::NonZeroUsize::new(2).unwrap()).unwrap();
    let path = root().join("models/glimpse-mini-1/calibration.json");
    let measured = measured_file(&provider).await.unwrap();
    if variable("GLIMPSE_TEST_UPDATE").is_some() {
        std::fs::write(&path, &measured).unwrap();
    }
    let [measured, stored]: [Value; 2] =
        [measured, std::fs::read_to_string(path).unwrap()].map(|text| serde_json::from_str(&text).unwrap());
    for (fit, name) in [
        ("text", "mismatch_mean"),
        ("text", "gate_limit"),
        ("text", "line_offset"),
        ("text", "usual_likeness"),
        ("text", "likeness_range"),
        ("text", "mismatch_deviation"),
        ("image", "mismatch_deviation"),
        ("text", "gate_slope"),
        ("text", "line_slope"),
        ("image", "slope"),
        ("image", "intercept"),
    ] {
        let [new, old] = [&measured, &stored].map(|file| file[fit][name].as_f64().unwrap());
        assert!((new - old).abs() <= 1e-3 * new.abs().max(1.0), "{fit}.{name}: {new}, in the file {old}");
    }
    // The values of the measurements in ADR 0013.
    assert!(
        (measured["text"]["gate_limit"].as_f64().unwrap() - 0.0998).abs() < 0.002,
        "{}",
        measured["text"]["gate_limit"]
    );
    assert!(measured["text"]["usable"] == true && measured["image"]["usable"] == true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_relevant_is_relevant_and_nothing_else_is_for_texts_without_a_meaning() {
    let app = demo_service().await;
    let mut flagged = 0;
    for text in UNRELATED {
        let reply = find(&app, &format!("q={}", encoded(text))).await;
        let results = reply["results"].as_array().unwrap();
        let is_relevant = |hit: &Value| hit["relevance"].as_f64().unwrap() >= 0.5;
        assert_eq!(reply["no_good_match"].as_bool().unwrap(), !results.iter().any(is_relevant), "{text}");
        flagged += usize::from(reply["no_good_match"] == true);
    }
    assert!(flagged >= 38, "at least 95 % of 40: {flagged}");

    let file: Value =
        serde_json::from_str(&std::fs::read_to_string(root().join("demo/queries.json")).unwrap()).unwrap();
    let known: BTreeMap<String, Vec<String>> = ["queries", "hard"]
        .into_iter()
        .flat_map(|group| serde_json::from_value::<BTreeMap<_, _>>(file[group].clone()).unwrap())
        .collect();
    // Ten groups of hits by their relevance: the sum of relevance, the number of right answers, and of hits.
    let mut groups = [(0.0, 0.0, 0.0); 10];
    let mut matched = 0;
    for (text, answers) in &known {
        let reply = find(&app, &format!("q={}", encoded(text))).await;
        matched += usize::from(reply["no_good_match"] == false);
        let mut previous = 1.0;
        for hit in reply["results"].as_array().unwrap() {
            let relevance = hit["relevance"].as_f64().unwrap();
            assert!((0.0..=previous).contains(&relevance), "it falls with the score: {reply}");
            previous = relevance;
            let is_right = answers.iter().any(|answer| hit["s3_key"] == format!("images/{answer}"));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number from 0 to 9")]
            let group = &mut groups[((relevance * 10.0) as usize).min(9)];
            group.0 += relevance;
            group.1 += f64::from(u8::from(is_right));
            group.2 += 1.0;
        }
    }
    assert!(matched * 10 >= known.len() * 7, "{matched} of {} known queries have a match", known.len());
    let hits: f64 = groups.iter().map(|group| group.2).sum();
    let error: f64 = groups.iter().map(|(predicted, right, _)| (predicted - right).abs()).sum::<f64>() / hits;
    assert!(error <= 0.1, "the expected calibration error is {error}");

    let cat = find(&app, "q=a+cat&limit=3").await;
    assert!(cat["results"][0]["s3_key"] == "images/cat.jpg" && cat["no_good_match"] == false, "{cat}");
    let relevant = find(&app, "q=a+cat&limit=26&min_relevance=0.5").await;
    let count = relevant["results"].as_array().unwrap().len();
    assert!((1..10).contains(&count), "{relevant}");
    let later = find(&app, "q=a+cat&limit=3&offset=10").await;
    assert_eq!(later["no_good_match"], false, "the best hit is on an earlier page: {later}");
    assert!(later["results"][0]["relevance"].as_f64().unwrap() < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relevance_of_a_search_by_image_says_whether_it_is_the_same_image() {
    let app = demo_service().await;
    let reply = app.find_like(demo_image("cat.jpg")).await;
    assert_eq!((reply.no_good_match, reply.results[0].image.s3_key.as_str()), (Some(false), "images/cat.jpg"));
    assert!(reply.results[0].relevance.unwrap() > 0.9 && reply.results[1].relevance.unwrap() < 0.5);
    let like = find(&app, &format!("like={}", image_id("images/cat.jpg"))).await;
    assert_eq!(like["no_good_match"], true, "no other image shows the same: {like}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_several_parts_has_no_relevance() {
    let app = demo_service().await;
    let query = format!("like={}&q=snow", image_id("images/cat.jpg"));
    let reply = find(&app, &query).await;
    assert!(reply.get("no_good_match").is_none() && reply["results"][0]["relevance"].is_null(), "{reply}");
    let (status, reply) = app.get(&format!("/search/images?{query}&min_relevance=0.5")).await;
    assert_eq!((status, &reply["code"]), (StatusCode::CONFLICT, &"relevance_unknown".into()), "{reply}");
    let (status, reply) = app.get("/search/images?q=a&min_relevance=1.5").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_is_calibrated_by_itself_and_one_of_random_weights_has_no_good_match() {
    let model = root().join("tests/data/clip-tiny").display().to_string();
    let off = TestApp::start_with(&[("CLIP_MODEL", &model)]).await;
    off.put("images/cat.jpg", demo_image("cat.jpg")).await;
    off.ingest().await;
    assert!(find(&off, "q=a+cat").await["results"][0]["relevance"].is_null());
    let (status, reply) = off.get("/search/images?q=a+cat&min_relevance=0.5").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(reply["message"].as_str().unwrap().contains("GLIMPSE_CALIBRATE"), "{reply}");

    let on = TestApp::start_in(off.stop().await, &[("CLIP_MODEL", &model), ("GLIMPSE_CALIBRATE", "true")]).await;
    let until = std::time::Instant::now() + std::time::Duration::from_mins(2);
    let reply = loop {
        let reply = find(&on, "q=a+cat").await;
        if reply.get("no_good_match").is_some() {
            break reply;
        }
        assert!(std::time::Instant::now() < until, "still {reply}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert!(reply["no_good_match"] == true && reply["results"][0]["relevance"].as_f64().unwrap() < 0.5, "{reply}");
    let folder = on.stop().await;
    let files = |folder: &Path| std::fs::read_dir(folder.join("calibration")).unwrap().count();
    assert_eq!(files(folder.path()), 1);

    let again = TestApp::start_in(folder, &[("CLIP_MODEL", &model)]).await;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while find(&again, "q=a+cat").await.get("no_good_match").is_none() {
        assert!(std::time::Instant::now() < until, "the stored calibration is used, also if new ones are off");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
