//! The relevance of a collection that is fitted to the answers of its users.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::demo::demo_service;

const PATH: &str = "/collections/documents/calibration";

async fn send(app: &TestApp, method: Method, body: Option<Value>) -> (StatusCode, Value) {
    let reply = app.send(method, PATH, body).await;
    (reply.status(), reply.json().await.unwrap())
}

/// The known queries of the demo in other words than those that the model was calibrated with.
fn shifted_queries() -> Vec<Value> {
    let known = glimpse::demo::queries().into_iter();
    known.map(|(text, answers)| json!({"text": format!("a very old and faded drawing, on yellow paper, of {text}"), "answers": answers})).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relevance_can_be_fitted_to_own_answers_and_back() {
    let app = demo_service().await;
    let relevance = async |text: &str| {
        let (_, reply) = app.get(&format!("/search/images?q={text}&limit=1")).await;
        reply["results"][0]["relevance"].as_f64().unwrap()
    };
    let before = relevance("a+panda").await;
    let (status, reply) = send(&app, Method::GET, None).await;
    assert_eq!((status, &reply["source"], reply.get("fit")), (StatusCode::OK, &json!("model"), None), "{reply}");

    let (status, reply) = send(&app, Method::PUT, Some(json!({"queries": shifted_queries()}))).await;
    assert_eq!((status, &reply["source"]), (StatusCode::OK, &json!("answers")), "{reply}");
    let fit = &reply["fit"];
    let number = |name: &str| fit[name].as_f64().unwrap();
    assert!(number("error_after") < 0.7 * number("error_before"), "on queries that are left out of the fit: {fit}");
    assert_eq!(fit["queries"], 49);
    assert!(number("good_matches_before") > 0.0 && number("good_matches_after") > 0.0, "{fit}");
    let fitted = relevance("a+panda").await;
    assert!((fitted - before).abs() > 0.001, "{before} {fitted}");
    let app = app.restart().await;
    let (_, again) = send(&app, Method::GET, None).await;
    assert_eq!(again, reply, "it is stored");

    let (status, reply) = send(&app, Method::DELETE, None).await;
    assert_eq!((status, &reply["source"]), (StatusCode::OK, &json!("model")));
    let (_, reply) = app.get("/search/images?q=a+panda&limit=1").await;
    let after = reply["results"][0]["relevance"].as_f64().unwrap();
    assert!((after - before).abs() < 1e-9, "{before} {after}");

    send(&app, Method::PUT, Some(json!({"queries": shifted_queries()}))).await;
    let folder = app.data().join("calibration/collections");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(app.delete("/collections/documents").await.0, StatusCode::OK);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "it is dropped with the collection");
    let (status, reply) = send(&app, Method::GET, None).await;
    assert_eq!((status, &reply["code"]), (StatusCode::NOT_FOUND, &json!("unknown_collection")));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_of_no_use_are_refused_with_the_reason() {
    let app = demo_service().await;
    let known = shifted_queries();
    let wrong = |answer: &str| -> Vec<Value> {
        known.iter().map(|query| json!({"text": query["text"], "answers": [answer]})).collect()
    };
    let mut long = known.clone();
    long[3]["text"] = json!("a".repeat(1001));
    for (body, expected) in [
        (json!({"queries": known[..5]}), "at least 20 queries, not 5"),
        (json!({"queries": wrong("other.jpg")}), "0 right"),
        (json!({"queries": long}), "queries[3].text: must have 1 to 1000 characters"),
        (json!({"queries": vec![&known[0]; 1001]}), "at most 1000 queries"),
        (json!({"queries": known, "x": 1}), "`x`"),
    ] {
        let (status, reply) = send(&app, Method::PUT, Some(body)).await;
        let message = reply["message"].as_str().unwrap();
        assert!(status == StatusCode::UNPROCESSABLE_ENTITY && message.contains(expected), "{expected}: {reply}");
    }
    let (status, _) = app.get("/collections/none/calibration").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
