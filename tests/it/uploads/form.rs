use glimpse::api::replies::ObjectsReply;
use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::keys;
use crate::support::{TestApp, demo_image, quarters_png};

fn file(name: &str, bytes: impl Into<Vec<u8>>) -> Part {
    Part::bytes(bytes.into()).file_name(name.to_owned())
}

async fn post(app: &TestApp, form: Form) -> (StatusCode, Value) {
    let request = app.client.post(format!("{}/objects", app.url)).query(&[("collection", "documents")]);
    let reply = request.multipart(form).send().await.unwrap();
    (reply.status(), reply.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_of_a_form_has_its_own_result() {
    let app = TestApp::start().await;
    let form = Form::new()
        .text("prefix", "images/")
        .part("file", file("cat.jpg", demo_image("cat.jpg")))
        .part("file", file("notes.txt", "text"))
        .part("file", file("C:\\photos\\coffee.jpg", demo_image("coffee.jpg")))
        .part("file", file("bad.png", "no image"))
        .part("file", file("folder/..", demo_image("cat.jpg")));
    let (status, reply) = post(&app, form).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    let reply: ObjectsReply = serde_json::from_value(reply).unwrap();
    let results: Vec<(&str, u16)> = reply.results.iter().map(|one| (one.file.as_str(), one.status)).collect();
    let expected = [("cat.jpg", 201), ("notes.txt", 422), ("coffee.jpg", 201), ("bad.png", 415), ("..", 422)];
    assert_eq!(results, expected);
    assert_eq!((reply.stored, reply.refused), (2, 3));
    assert_eq!(reply.results[3].error.as_ref().unwrap().code, "unsupported_format");
    assert_eq!(keys(&app).await, ["images/cat.jpg", "images/coffee.jpg"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_bounded() {
    let app = TestApp::start().await;
    for (form, code) in [
        (Form::new().text("prefix", "images/"), "malformed_body"),
        (Form::new().text("other", "x"), "invalid_body"),
        (Form::new().part("file", file("a.png", quarters_png(1))).text("prefix", "images/"), "invalid_prefix"),
    ] {
        let (status, reply) = post(&app, form).await;
        assert!(status.is_client_error() && reply["code"] == json!(code), "{status} {reply}");
    }
    let many = (0..102).fold(Form::new(), |form, number| form.part("file", file(&format!("{number}.txt"), "x")));
    let (status, reply) = post(&app, many).await;
    let results = reply["results"].as_array().unwrap();
    assert_eq!((status, results.len()), (StatusCode::OK, 102), "{reply}");
    assert_eq!(
        (&results[99]["error"]["code"], &results[101]["error"]["code"]),
        (&json!("key_extension"), &json!("invalid_file"))
    );
    assert_eq!(results[101]["file"], json!("101.txt"));
    let (status, reply) = app.post("/objects", json!({})).await;
    assert_eq!((status, &reply["code"]), (StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!("not_multipart")), "{reply}");
}
