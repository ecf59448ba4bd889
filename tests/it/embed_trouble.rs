//! Embedding services in trouble: they refuse, stall, break off, lie and talk nonsense. The adapters say what it is; whether
//! to try again is decided around them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use glimpse::domain::{Embedding, InvalidEmbedding, Trouble};
use glimpse::embed::{EmbedError, ImageEmbeddingProvider, ProviderKind};
use glimpse::imaging::PreparedImage;
use tokio_util::task::AbortOnDropHandle;

use crate::support::embed_services::{Service, provider, refusal, serve};

const ALL: [ProviderKind; 4] =
    [ProviderKind::Clip, ProviderKind::OpenAi, ProviderKind::Multi2Vec, ProviderKind::Ollama];
const PATIENT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);
const SIDE: u32 = 16;

/// A server that gives every request the same answer, and counts them.
struct Scripted {
    url: String,
    asked: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Scripted {
    async fn answering<R: IntoResponse>(reply: impl Fn() -> R + Clone + Send + Sync + 'static) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        // The body is read whole: a server that hangs up in the middle of it is another trouble.
        let router = Router::new().fallback(move |_: Bytes| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(reply().into_response())
        });
        let (url, task) = serve(router.layer(DefaultBodyLimit::max(1 << 26))).await;
        Self { url, asked, _task: task }
    }

    async fn saying(status: u16, body: &'static str) -> Self {
        Self::answering(move || (StatusCode::from_u16(status).unwrap(), body)).await
    }

    fn provider(&self, kind: ProviderKind, timeout: Duration) -> Box<dyn ImageEmbeddingProvider> {
        provider(kind, &self.url, Some(SIDE), timeout)
    }

    /// What every adapter makes of it, for a picture and for a text.
    async fn outcomes(&self, timeout: Duration) -> Vec<(String, EmbedError)> {
        let mut outcomes = Vec::new();
        for kind in ALL {
            let provider = self.provider(kind, timeout);
            let image = provider.embed_image(&picture(9)).await;
            let text = provider.embed_text("a cat").await;
            for (what, outcome) in [("picture", image), ("text", text)] {
                outcomes.push((format!("{what} to {}", kind.name()), outcome.unwrap_err()));
            }
        }
        outcomes
    }

    /// Every adapter says that this is the trouble.
    async fn is(&self, trouble: Trouble, timeout: Duration) {
        for (what, error) in self.outcomes(timeout).await {
            let EmbedError::Dependency(down) = error else { panic!("{what}: {error}") };
            assert_eq!(down.trouble, trouble, "{what}: {}", down.detail);
        }
    }
}

fn picture(level: u8) -> PreparedImage {
    PreparedImage { size: SIDE, rgb: vec![level; (SIDE * SIDE * 3) as usize].into() }
}

/// A reply with these vectors in the words of the service.
fn vectors(kind: ProviderKind, vectors: &[&str]) -> String {
    let list = |item: &dyn Fn(usize, &str) -> String| {
        vectors.iter().enumerate().map(|(place, vector)| item(place, vector)).collect::<Vec<_>>().join(",")
    };
    match kind {
        ProviderKind::Clip => format!("[{}]", list(&|_, vector| format!(r#"{{"image":"…","vector":{vector}}}"#))),
        ProviderKind::OpenAi => {
            format!(r#"{{"data":[{}]}}"#, list(&|place, vector| format!(r#"{{"embedding":{vector},"index":{place}}}"#)))
        }
        ProviderKind::Multi2Vec => {
            let list = list(&|_, vector| vector.to_owned());
            format!(r#"{{"textVectors":[{list}],"imageVectors":[{list}]}}"#)
        }
        ProviderKind::Ollama => format!(
            r#"{{"message":{{"content":"a cat"}},"done":true,"embeddings":[{}]}}"#,
            list(&|_, vector| vector.to_owned())
        ),
        ProviderKind::Local => panic!("it has no replies"),
    }
}

/// What each adapter makes of these vectors, for a text or for two pictures.
async fn made_of(raw: &'static [&'static str], pictures: bool) -> Vec<Result<Vec<Embedding>, EmbedError>> {
    let mut made = Vec::new();
    for kind in ALL {
        let server = Scripted::answering(move || vectors(kind, raw)).await;
        let provider = server.provider(kind, PATIENT);
        made.push(if pictures {
            provider.embed_image_batch(&[picture(1), picture(2)]).await
        } else {
            provider.embed_text("a cat").await.map(|one| vec![one])
        });
    }
    made
}

async fn all_say(raw: &'static [&'static str], pictures: bool, expected: &EmbedError) {
    for (kind, made) in ALL.iter().zip(made_of(raw, pictures).await) {
        assert_eq!(made.as_ref(), Err(expected), "{} of {raw:?}", kind.name());
    }
}

#[tokio::test]
async fn each_status_is_the_inputs_the_settings_or_the_services_trouble() {
    for content in [400, 413, 415, 422] {
        for (what, error) in Scripted::saying(content, "{\"error\":\"/srv/secret\"}").await.outcomes(PATIENT).await {
            assert!(matches!(error, EmbedError::Rejected(_)), "{content}, {what}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
    for (status, trouble) in [
        (401, Trouble::Refused),
        (403, Trouble::Refused),
        (404, Trouble::Refused),
        (405, Trouble::Refused),
        (501, Trouble::Refused),
        (500, Trouble::Failed),
        (502, Trouble::Failed),
        (503, Trouble::Failed),
        (504, Trouble::TimedOut),
    ] {
        Scripted::saying(status, "<html>sorry</html>").await.is(trouble, PATIENT).await;
    }
}

#[tokio::test]
async fn a_busy_service_says_when_to_come_back_in_seconds_or_as_a_date() {
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let server = Scripted::answering(move || (status, [("retry-after", "7")])).await;
        server.is(Trouble::Busy { retry_after: Duration::from_secs(7) }, PATIENT).await;
        let server = Scripted::answering(move || {
            let when = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(40));
            (status, [("retry-after", when)])
        });
        for (what, error) in server.await.outcomes(PATIENT).await {
            let EmbedError::Dependency(down) = error else { panic!("{what}: {error}") };
            let Trouble::Busy { retry_after } = down.trouble else { panic!("{what}: {down}") };
            assert!((30..=40).contains(&retry_after.as_secs()), "{what}: {retry_after:?}");
        }
    }
    Scripted::saying(429, "").await.is(Trouble::Busy { retry_after: Duration::from_secs(1) }, PATIENT).await;
}

#[tokio::test]
async fn who_does_not_answer_or_stops_in_the_middle_is_late() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let router = Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<StatusCode>()
    });
    let (url, task) = serve(router).await;
    let silent = Scripted { url, asked, _task: task };
    silent.is(Trouble::TimedOut, SHORT).await;
    assert_eq!(silent.asked.load(Ordering::SeqCst), 8, "asked once each: adapters do not retry");

    let stalled = || Body::from_stream(stream::iter([Ok::<_, io::Error>("[{\"vec")]).chain(stream::pending()));
    Scripted::answering(stalled).await.is(Trouble::TimedOut, SHORT).await;
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_body_is_a_failure() {
    let cut = || Body::from_stream(stream::iter([Ok("[{\"vector\":[1,2"), Err(io::Error::other("cut"))]));
    Scripted::answering(cut).await.is(Trouble::Failed, PATIENT).await;
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure() {
    for body in ["", "<!doctype html><title>Sign in</title>", "[{\"vector\":[1,", "{\"error\":\"x\"}", "7", "null"] {
        Scripted::saying(200, body).await.is(Trouble::Failed, PATIENT).await;
    }
}

#[tokio::test]
async fn an_endless_reply_is_not_read_to_its_end() {
    let endless = || Body::from_stream(stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[b' '; 8192]))));
    Scripted::answering(endless).await.is(Trouble::Failed, PATIENT).await;
    // Nor is one begun that says beforehand how long it is.
    let announced = || {
        let stalls = Body::from_stream(stream::pending::<Result<Bytes, io::Error>>());
        Response::builder().header("content-length", u64::MAX / 2).body(stalls).unwrap()
    };
    Scripted::answering(announced).await.is(Trouble::Failed, PATIENT).await;
    // An error's words are not needed.
    let grumbling = move || (StatusCode::BAD_GATEWAY, endless());
    Scripted::answering(grumbling).await.is(Trouble::Failed, PATIENT).await;
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let target = Scripted::saying(200, "").await;
    for status in [301, 302, 307, 308] {
        let to = target.url.clone();
        let away = move || (StatusCode::from_u16(status).unwrap(), [("location", to.clone())]);
        Scripted::answering(away).await.is(Trouble::Refused, PATIENT).await;
    }
    assert_eq!(target.asked.load(Ordering::SeqCst), 0, "a key must not travel");
}

#[tokio::test]
async fn nobody_there_is_a_failure() {
    for kind in ALL {
        let error = provider(kind, "http://127.0.0.1:9", Some(SIDE), PATIENT).space().await.unwrap_err();
        assert!(matches!(&error, EmbedError::Dependency(down) if down.trouble == Trouble::Failed), "{error}");
    }
}

#[tokio::test]
async fn another_number_of_vectors_is_seen() {
    all_say(&[], false, &EmbedError::WrongCount { sent: 1, got: 0 }).await;
    all_say(&["[1,2]", "[2,1]"], false, &EmbedError::WrongCount { sent: 1, got: 2 }).await;
    all_say(&["[1,2]"], true, &EmbedError::WrongCount { sent: 2, got: 1 }).await;
}

#[tokio::test]
async fn a_vector_that_is_none_is_its_inputs_trouble() {
    let invalid = EmbedError::Invalid;
    all_say(&["[]"], false, &invalid(InvalidEmbedding::Zero)).await;
    all_say(&["[0,0.0,-0]"], false, &invalid(InvalidEmbedding::Zero)).await;
    for raw in [&["[1,NaN]"], &["[1,null]"], &["[1, Infinity]"], &["[1,-Infinity]"], &["[1,1e39]"]] {
        all_say(raw, false, &invalid(InvalidEmbedding::NotFinite(1))).await;
    }
    all_say(&["[1,2]", "[1,2,3]"], true, &invalid(InvalidEmbedding::WrongSize { expected: 2, actual: 3 })).await;
    for raw in [&["[1,\"2\"]"], &["\"1,2\""], &["null"], &["[[1,2]]"]] {
        for made in made_of(raw, false).await {
            assert!(matches!(&made, Err(EmbedError::Dependency(down)) if down.trouble == Trouble::Failed), "{made:?}");
        }
    }
}

#[tokio::test]
async fn the_order_is_what_the_index_says_and_a_wrong_index_is_seen() {
    let ask = |body: &'static str| async move {
        let server = Scripted::saying(200, body).await;
        let two = [picture(1), picture(2)];
        server.provider(ProviderKind::OpenAi, PATIENT).embed_image_batch(&two).await
    };
    let turned = ask(r#"{"data":[{"index":1,"embedding":[0,1]},{"index":0,"embedding":[1,0]}]}"#).await.unwrap();
    assert_eq!([turned[0].as_slice(), turned[1].as_slice()], [[1.0, 0.0], [0.0, 1.0]]);
    let bare = ask(r#"{"data":[{"embedding":[1,0]},{"embedding":[0,1]}]}"#).await.unwrap();
    assert_eq!(bare, turned);
    for twice in [
        r#"{"data":[{"index":0,"embedding":[0,1]},{"index":0,"embedding":[1,0]}]}"#,
        r#"{"data":[{"index":1,"embedding":[0,1]},{"index":2,"embedding":[1,0]}]}"#,
        r#"{"data":[{"index":0,"embedding":[0,1]},{"embedding":[1,0]}]}"#,
    ] {
        assert!(matches!(ask(twice).await, Err(EmbedError::Dependency(_))), "{twice}");
    }
}

#[tokio::test]
async fn one_that_ignores_its_input_or_reads_pictures_as_words_is_refused() {
    for kind in ALL {
        let server = Scripted::answering(move || vectors(kind, &["[1,2]"])).await;
        let error = server.provider(kind, PATIENT).space().await.unwrap_err();
        assert!(matches!(error, EmbedError::ProbeFailed(_)), "{}: {error}", kind.name());
    }
    for kind in [ProviderKind::Clip, ProviderKind::OpenAi, ProviderKind::Multi2Vec] {
        let service = Service::blind(kind).await;
        let size = (kind != ProviderKind::Clip).then_some(64);
        let said = refusal(provider(kind, &service.url, size, Duration::from_mins(1)).space().await);
        assert!(said.contains("does not look at pictures"), "{}: {said}", kind.name());
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_for_the_service_is_cut_and_a_service_that_is_down_is_not_asked_for_ever() {
    let text = "a cat that sits on a mat ".repeat(50);
    for kind in [ProviderKind::Clip, ProviderKind::Multi2Vec] {
        for (status, trouble) in [(500, true), (503, false), (404, false)] {
            let server = Scripted::saying(status, "{\"error\":\"index out of range\"}").await;
            server.provider(kind, PATIENT).embed_text(&text).await.unwrap_err();
            assert_eq!(server.asked.load(Ordering::SeqCst), if trouble { 3 } else { 1 }, "{status}");
        }
    }
}

#[tokio::test]
async fn a_size_is_told_by_the_service_or_set_and_never_guessed_of_one_that_is_down() {
    let card = |status: u16, body: &'static str, size: Option<u32>| async move {
        let reply = move || (StatusCode::from_u16(status).unwrap(), body);
        let router = Router::new().route("/", get(move || std::future::ready(reply().into_response())));
        // Everything else is too much for it, so that the probe ends at its first call.
        let router = router.fallback(|| std::future::ready(StatusCode::TOO_MANY_REQUESTS));
        let (url, _task) = serve(router).await;
        let clip = provider(ProviderKind::Clip, &url, size, PATIENT);
        (clip.space().await.unwrap_err(), clip.preprocessing().size)
    };
    let busy = Trouble::Busy { retry_after: Duration::from_secs(1) };
    let probed = |error: &EmbedError| matches!(error, EmbedError::Dependency(down) if down.trouble == busy);
    for (status, body, set, size) in [
        (200, r#"{"model":"m","dimension":512,"image_size":336,"resize":"crop"}"#, None, 336),
        (200, r#"{"image_size":336}"#, Some(336), 336),
        (200, r#"{"message":"CLIP as a service"}"#, None, 224),
        (200, "<html>docs</html>", Some(288), 288),
        (200, r#"{"image_size":"large"}"#, None, 224),
        (404, "", None, 224),
        (405, "", Some(288), 288),
        (307, "", None, 224),
    ] {
        let (error, got) = card(status, body, set).await;
        assert!(probed(&error) && got == size, "{status} {body}: {error}, {got}");
    }
    let (error, _) = card(200, r#"{"image_size":336}"#, Some(224)).await;
    assert!(error.to_string().contains("IMAGE_TARGET_SIZE is 224, but the service takes 336"), "{error}");
    for absurd in [r#"{"image_size":0}"#, r#"{"image_size":100000}"#] {
        assert!(refusal(Err::<(), _>(card(200, absurd, None).await.0)).contains("pixels a side"));
    }
    for (status, trouble) in [(500, Trouble::Failed), (503, Trouble::Failed), (401, Trouble::Refused)] {
        let (error, _) = card(status, "", None).await;
        assert!(matches!(&error, EmbedError::Dependency(down) if down.trouble == trouble), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_model_that_is_not_there_or_cannot_do_it_is_named() {
    let down = |outcome: Result<_, EmbedError>| match outcome {
        Err(EmbedError::Dependency(down)) if down.trouble == Trouble::Refused => down.detail,
        Err(other) => panic!("{other}"),
        Ok(()) => panic!("accepted"),
    };
    let has = r#"{"data":[{"id":"a/b"},{"id":"c"}]}"#;
    let server = Scripted::saying(200, has).await;
    let said = down(server.provider(ProviderKind::OpenAi, PATIENT).space().await.map(|_| ()));
    assert!(said.contains("a/b, c") && said.contains("CLIP_MODEL"), "{said}");

    let ollama = |status, body| async move {
        let server = Scripted::saying(status, body).await;
        server.provider(ProviderKind::Ollama, PATIENT).space().await.map(|_| ())
    };
    let said = down(ollama(404, r#"{"error":"model 'llava' not found"}"#).await);
    assert!(said.contains("ollama pull llava"), "{said}");
    let said = down(ollama(200, r#"{"capabilities":["completion"]}"#).await);
    assert!(said.contains("OLLAMA_VISION_MODEL"), "{said}");
    let said = down(ollama(200, r#"{"capabilities":["vision"]}"#).await);
    assert!(said.contains("OLLAMA_MODEL"), "{said}");
}

#[tokio::test]
async fn a_caption_without_words_is_the_pictures_trouble() {
    let server = Scripted::saying(200, r#"{"message":{"content":" \n"},"done":true}"#).await;
    let outcome = server.provider(ProviderKind::Ollama, PATIENT).embed_image(&picture(1)).await;
    assert!(matches!(outcome, Err(EmbedError::Rejected(_))), "{outcome:?}");
}
