//! Searches by several texts and images.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::demo::demo_service;
use crate::support::{TestApp, demo_image, encode_png, image_id};

async fn find(app: &TestApp, body: Value) -> Value {
    let (status, reply) = app.post("/search/images", body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{body}: {reply}");
    reply
}

fn keys(reply: &Value) -> Vec<&str> {
    reply["results"].as_array().unwrap().iter().map(|hit| hit["s3_key"].as_str().unwrap()).collect()
}

fn rank(reply: &Value, key: &str) -> usize {
    keys(reply).iter().position(|other| *other == key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_term_is_the_same_search_as_without_json() {
    let app = demo_service().await;
    let same = |mut json: Value, mut other: Value| {
        for reply in [&mut json, &mut other] {
            for field in ["took_ms", "query", "like", "file"] {
                reply.as_object_mut().unwrap().remove(field);
            }
        }
        assert_eq!(json, other);
    };
    let (_, by_text) = app.get("/search/images?q=a+cat&limit=5&min_width=300").await;
    let body = json!({"positive": [{"text": "a cat", "weight": null}], "negative": null, "limit": 5.0, "offset": null,
        "filter": {"min_width": 300, "meta": null}});
    same(find(&app, body).await, by_text);
    let id = image_id("images/cat.jpg");
    let (_, by_id) = app.get(&format!("/search/images?like={id}")).await;
    same(find(&app, json!({"positive": [{"id": id, "weight": 3}]})).await, by_id);
    let by_file: Value = app.search_file(demo_image("panda.jpg"), "").await.json().await.unwrap();
    let image = STANDARD.encode(demo_image("panda.jpg"));
    let uri = format!("data:image/jpeg;base64,{image}");
    same(find(&app, json!({"positive": [{"image": uri}], "lang": ""})).await, by_file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_has_its_cosine_with_each_term_and_the_score_is_their_weighted_sum() {
    let app = demo_service().await;
    let panda = image_id("images/panda.jpg");
    let body = json!({"positive": [{"text": "a cat", "weight": 2}, {"id": panda}], "negative": [{"text": "snow"}],
        "limit": 20, "filter": {"s3_prefix": ["images/", "!x/"], "format": ["jpeg", "!gif"]}});
    let reply = find(&app, body).await;
    assert!(!keys(&reply).contains(&"images/panda.jpg") && reply.get("no_good_match").is_none(), "{reply}");
    let mut ratios = Vec::new();
    for hit in reply["results"].as_array().unwrap() {
        assert!(hit["relevance"].is_null());
        let terms: Vec<f64> = hit["terms"].as_array().unwrap().iter().map(|term| term.as_f64().unwrap()).collect();
        let [cat, panda, snow] = terms[..] else { panic!("{hit}") };
        // An image beside texts counts 0.22 times, a negative term 0.4 times.
        let sum = 2.0 * cat + 0.22 * panda - 0.4 * snow;
        ratios.push((sum, hit["score"].as_f64().unwrap()));
    }
    let (first_sum, first_score) = ratios[0];
    for (sum, score) in ratios {
        assert!((sum / first_sum * first_score - score).abs() < 0.01, "{sum} {score}, {first_sum} {first_score}");
    }
    let (_, cat) = app.get("/search/images?q=a+cat&limit=26").await;
    assert!(cat["results"][0].get("terms").is_none(), "one term");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_term_moves_what_is_like_it_further_down() {
    let app = demo_service().await;
    let search = async |negative: Value| {
        find(&app, json!({"positive": [{"text": "an animal"}], "negative": negative, "limit": 26})).await
    };
    let (without, with) = (search(json!([])).await, search(json!([{"text": "a cat", "weight": 2}])).await);
    assert!(rank(&with, "images/cat.jpg") > rank(&without, "images/cat.jpg"), "{:?} {:?}", keys(&without), keys(&with));
    let cat = json!([{"id": image_id("images/cat.jpg")}]);
    assert!(!keys(&search(cat).await).contains(&"images/cat.jpg"), "it is left out");
    let both = json!({"positive": [{"text": "a cat"}], "negative": [{"text": "a cat", "weight": 2.5}]});
    let (status, reply) = app.post("/search/images", both).await;
    assert_eq!((status, &reply["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &"invalid_negative".into()), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_body_is_refused_with_the_place_and_what_is_allowed() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    let seventeen = vec![json!({"text": "a"}); 17];
    let nine = vec![json!({"image": "AAAA"}); 9];
    for (body, status, expected) in [
        (json!({}), 422, "positive: is missing"),
        (json!({"positive": []}), 422, "positive: is empty: a query needs at least one term"),
        (json!({"negative": [{"text": "a"}], "positive": []}), 422, "at least one term to search for"),
        (json!({"positive": "a"}), 422, "positive: must be a list of objects, not `a`"),
        (json!({"positive": ["a"]}), 422, "positive[0]: must be a JSON object, not `a`"),
        (json!({"positive": [[]]}), 422, "positive[0]: must be a JSON object, not []"),
        (json!({"positive": [{"text": "a"}], "filter": []}), 422, "filter: must be a JSON object, not []"),
        (json!({"positive": vec![json!({"a": []}); 100]}), 422, "positive[0]: the field `a` is not known"),
        (json!({"positive": [{"id": "x".repeat(10_000)}]}), 404, "xxx…"),
        (
            json!({"positive": [{"id": image_id("x"), "region": {"x": 0.5, "y": 0, "width": 0.6, "height": 1}}]}),
            422,
            "positive[0].region: must have x, y, width and height from 0 to 1",
        ),
        (
            json!({"positive": [{"id": image_id("x"), "region": [0, 0, 1, 1]}]}),
            422,
            "positive[0].region: must be a JSON object",
        ),
        (
            json!({"positive": [{"text": "a", "region": {"x": 0, "y": 0, "width": 1, "height": 1}}]}),
            422,
            "positive[0].region: needs an image, not a text",
        ),
        (json!({"positive": [{}]}), 422, "positive[0]: must have exactly one of `text`, `id` and `image`"),
        (json!({"positive": [{"text": "a", "id": image_id("x")}]}), 422, "exactly one of"),
        (json!({"positive": [{"txt": "a"}]}), 422, "positive[0]: the field `txt` is not known; did you mean `text`?"),
        (json!({"positive": [{"text": 7}]}), 422, "positive[0].text: must be a string, not 7"),
        (json!({"positive": [{"text": " "}]}), 422, "positive[0].text: must have 1 to 1000 characters"),
        (json!({"positive": [{"id": "x"}]}), 404, "there is no image `x`"),
        (json!({"positive": [{"image": "%"}]}), 422, "positive[0].image: is not valid base64"),
        (json!({"positive": [{"image": "AAAA"}]}), 415, ""),
        (
            json!({"positive": [{"text": "a", "weight": 0}]}),
            422,
            "positive[0].weight: must be a number from 0.000001 to 10, not 0",
        ),
        (json!({"positive": [{"text": "a", "weight": 1e-300}]}), 422, "from 0.000001 to 10, not 1e-300"),
        (json!({"positive": [{"text": "a", "weight": 11}]}), 422, "to 10, not 11"),
        (
            json!({"positive": [{"text": "a".repeat(20_000)}]}),
            422,
            "text: a text must have at most 16384 bytes, not 20000",
        ),
        (json!({"positive": seventeen}), 422, "`positive` and `negative` have 17 or more terms together; at most 16"),
        (json!({"positive": nine}), 422, "`positive` and `negative` have 9 images together; at most 8"),
        (
            json!({"positive": [{"text": "a"}], "filter": {"formt": "png"}}),
            422,
            "filter: the field `formt` is not known",
        ),
        (
            json!({"positive": [{"text": "a"}], "filter": {"meta": {"a": {}}}}),
            422,
            "filter.meta.a: must be a string, a number, true or false, or a list of them, not {}",
        ),
        (json!({"positive": [{"text": "a"}], "filter": {"format": "psd"}}), 422, "must be jpeg, png, webp, gif, tiff"),
        (
            json!({"positive": [{"text": "a"}], "lang": "deu_Lat"}),
            422,
            "lang: the language `deu_Lat` is not known; this language can be `deu_Latn`",
        ),
        (json!({"positive": [{"text": "a"}], "limit": 0}), 422, "limit: must be a whole number from 1 to 100, not 0"),
        (json!({"positive": [{"text": "a"}, {"text": "b"}], "min_relevance": 0.5}), 409, "several parts"),
    ] {
        let (got, reply) = app.post("/search/images", body.clone()).await;
        let message = reply["message"].as_str().unwrap_or_default();
        assert!(got.as_u16() == status && message.contains(expected), "{body}: {got} {message}");
    }
    let (status, reply) = app.post("/search/images?limit=3", json!({"positive": [{"text": "a"}]})).await;
    assert_eq!(status, 422, "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("must be in the JSON body"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_an_image_is_searched_for_in_each_form_of_a_search() {
    let app = TestApp::start().await;
    let (cat, panda) = (load(&demo_image("cat.jpg")), load(&demo_image("panda.jpg")));
    // The cat on the left, the panda on the right.
    let mut both = RgbImage::new(cat.width() + panda.width(), cat.height().max(panda.height()));
    image::imageops::replace(&mut both, &cat, 0, 0);
    image::imageops::replace(&mut both, &panda, cat.width().into(), 0);
    let both_png = encode_png(both.clone());
    app.put("images/both.png", both_png.clone()).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.put("images/panda.jpg", demo_image("panda.jpg")).await;
    app.ingest().await;
    let (width, height) = (f64::from(both.width()), f64::from(both.height()));
    let share = |from: u32, image: &RgbImage| {
        (f64::from(from) / width, f64::from(image.width()) / width, f64::from(image.height()) / height)
    };
    let id = image_id("images/both.png");
    for (from, image, key) in [(0, &cat, "images/cat.jpg"), (cat.width(), &panda, "images/panda.jpg")] {
        let (x, width, height) = share(from, image);
        let region = json!({"x": x, "y": 0, "width": width, "height": height});
        let text = format!("region={x},0,{width},{height}");
        let by_file: Value = app.search_file(both_png.clone(), &format!("?{text}")).await.json().await.unwrap();
        let by_json = find(&app, json!({"positive": [{"image": STANDARD.encode(&both_png), "region": region}]})).await;
        for reply in [by_file, by_json] {
            assert!(reply["results"][0]["s3_key"] == key && keys(&reply).len() == 3, "{reply}");
            assert!(reply["results"][0]["score"].as_f64().unwrap() > 0.98, "{reply}");
        }
        let (_, by_like) = app.get(&format!("/search/images?like={id}&{text}")).await;
        let by_id = find(&app, json!({"positive": [{"id": id, "region": region}]})).await;
        for reply in [by_like, by_id] {
            assert!(
                reply["results"][0]["s3_key"] == key && keys(&reply).len() == 2,
                "without the image itself: {reply}"
            );
        }
    }
    for (query, expected) in [
        ("q=a&region=0,0,1,1", "region: is a part of an image, so it needs `like`"),
        (&format!("like={id}&region=0,0,1"), "as `x,y,width,height`, not `0,0,1`"),
    ] {
        let (status, reply) = app.get(&format!("/search/images?{query}")).await;
        assert!(status == 422 && reply["message"].as_str().unwrap().contains(expected), "{reply}");
    }
}

fn load(file: &[u8]) -> RgbImage {
    image::load_from_memory(file).unwrap().into_rgb8()
}
