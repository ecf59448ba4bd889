use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use tokio::time::Instant;

use super::*;
use crate::domain::{DependencyError, FailureKind};
use crate::resilience::{Breaker, BreakerSettings, WaitList};

fn down() -> SourceError {
    let failure = FailureKind::Failed;
    SourceError::Dependency(DependencyError { dependency: "s3".to_owned(), failure, detail: "refused".to_owned() })
}

fn image(key: &str) -> ImageRef {
    ImageRef { uri: ImageUri::new("b", key), etag: None, size_bytes: 1, modified: None }
}

/// Keys `0` to `9`. Each listing fails after three keys, each call takes the next of `answers`.
#[derive(Default)]
struct Shaky {
    answers: Mutex<Vec<SourceError>>,
    calls: AtomicU32,
}

#[async_trait]
impl ImageSource for Shaky {
    fn list(&self, scope: &Scope) -> Listing {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(error) = self.answers.lock().unwrap().pop() {
            return futures::stream::iter([Err(error)]).boxed();
        }
        let after = scope.start_after.clone().unwrap_or_default();
        let left: Vec<_> = (0..10).map(|n| n.to_string()).filter(|key| *key > after).collect();
        let end = (left.len() > 3).then(|| Err(down()));
        futures::stream::iter(left.into_iter().take(3).map(|key| Ok(image(&key))).chain(end)).boxed()
    }
    async fn fetch(&self, _: &ImageRef) -> Result<Fetched, SourceError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let fetched = Fetched {
            bytes: "x".into(),
            etag: None,
            modified: None,
            content_type: None,
            content_encoding: None,
            metadata: std::collections::BTreeMap::new(),
        };
        self.answers.lock().unwrap().pop().map_or(Ok(fetched), Err)
    }
    async fn fetch_file(&self, uri: &ImageUri, _: u64) -> Result<Fetched, SourceError> {
        self.fetch(&image(uri.key())).await
    }
    async fn put(&self, _: &ImageUri, _: NewObject) -> Result<Option<String>, SourceError> {
        self.answers.lock().unwrap().pop().map_or(Ok(None), Err)
    }
}

fn guarded(answers: Vec<SourceError>) -> (GuardedSource, Arc<Shaky>, Arc<Breaker>) {
    let shaky = Arc::new(Shaky { answers: Mutex::new(answers), calls: AtomicU32::new(0) });
    let settings = BreakerSettings { threshold: 2, cool_down: Duration::from_mins(1) };
    let breaker = Arc::new(Breaker::new(settings));
    let guard = Guard::background("s3", WaitList::default()).with_breaker(breaker.clone());
    (GuardedSource::new(shaky.clone(), guard), shaky, breaker)
}

#[tokio::test(start_paused = true)]
async fn a_listing_continues_after_the_last_key() {
    let (source, shaky, breaker) = guarded(vec![down(), down(), down()]);
    let begun = Instant::now();
    let scope = Scope { bucket: "b".to_owned(), prefix: String::new(), start_after: None };
    let images: Vec<ImageRef> = source.list(&scope).try_collect().await.unwrap();
    assert_eq!(images.iter().map(|image| image.uri.key()).collect::<String>(), "0123456789");
    assert_eq!(shaky.calls.load(Ordering::SeqCst), 3 + 4, "three refused, four of three keys each");
    assert!(begun.elapsed() >= Duration::from_mins(2), "{:?}", begun.elapsed());
    assert_eq!(breaker.open_for(), None);
}

#[tokio::test(start_paused = true)]
async fn a_listing_of_a_missing_bucket_ends_with_its_error() {
    let (source, ..) = guarded(vec![SourceError::NoBucket("b".to_owned())]);
    let scope = Scope { bucket: "b".to_owned(), prefix: String::new(), start_after: None };
    let all: Vec<_> = source.list(&scope).collect().await;
    assert_eq!(all, [Err(SourceError::NoBucket("b".to_owned()))]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_breaks_off_twice_is_read_once_more() {
    let broken = || SourceError::BrokenOff { uri: ImageUri::new("b", "0"), got: 1, expected: 2 };
    let (source, ..) = guarded(vec![broken(), broken()]);
    assert!(source.fetch(&image("0")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn writing_is_tried_a_few_times_and_does_not_stop_reading() {
    let (source, ..) = guarded(vec![down(), down(), down()]);
    source.put(&ImageUri::new("b", "0"), NewObject::default()).await.unwrap();

    let (source, shaky, breaker) = guarded((0..20).map(|_| down()).collect());
    assert!(source.put(&ImageUri::new("b", "0"), NewObject::default()).await.is_err());
    assert_eq!((shaky.answers.lock().unwrap().len(), breaker.open_for()), (16, None), "four attempts");
}

/// A bucket that can only be opened: its body never ends.
struct Endless;

#[async_trait]
impl ImageSource for Endless {
    fn list(&self, _: &Scope) -> Listing {
        stream::empty().boxed()
    }
    async fn fetch(&self, _: &ImageRef) -> Result<Fetched, SourceError> {
        Err(down())
    }
    async fn fetch_file(&self, _: &ImageUri, _: u64) -> Result<Fetched, SourceError> {
        Err(down())
    }
    async fn open(&self, _: &ImageUri, _: Option<&Part>) -> Result<Opened, SourceError> {
        Ok(Opened {
            etag: Some("1".to_owned()),
            modified: None,
            content_type: None,
            size_bytes: None,
            is_part: false,
            is_encoded: false,
            body: stream::pending().boxed(),
        })
    }
    async fn put(&self, _: &ImageUri, _: NewObject) -> Result<Option<String>, SourceError> {
        Err(down())
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_is_opened_without_reading_its_body() {
    let source = GuardedSource::new(Arc::new(Endless), Guard::background("s3", WaitList::default()));
    let uri = ImageUri::new("b", "0");
    let opened = tokio::time::timeout(Duration::from_secs(1), source.open(&uri, None)).await.unwrap().unwrap();
    assert_eq!(opened.etag.as_deref(), Some("1"));
}

/// A bucket whose listing works. An object is read as `read` says.
struct Listed<F> {
    keys: Vec<String>,
    read: F,
}

#[async_trait]
impl<F: Fn(&str) -> Result<(), SourceError> + Send + Sync + 'static> ImageSource for Listed<F> {
    fn list(&self, scope: &Scope) -> Listing {
        let in_scope = |key: &&String| {
            key.starts_with(&scope.prefix) && scope.start_after.as_ref().is_none_or(|after| *key > after)
        };
        let images: Vec<_> = self.keys.iter().filter(in_scope).map(|key| Ok(image(key))).collect();
        stream::iter(images).boxed()
    }
    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError> {
        (self.read)(image.uri.key())?;
        Ok(Fetched {
            bytes: "x".into(),
            etag: None,
            modified: None,
            content_type: None,
            content_encoding: None,
            metadata: std::collections::BTreeMap::new(),
        })
    }
    async fn fetch_file(&self, uri: &ImageUri, _: u64) -> Result<Fetched, SourceError> {
        self.fetch(&image(uri.key())).await
    }
    async fn put(&self, _: &ImageUri, _: NewObject) -> Result<Option<String>, SourceError> {
        Ok(None)
    }
}

fn over(
    keys: impl IntoIterator<Item = String>,
    read: impl Fn(&str) -> Result<(), SourceError> + Send + Sync + 'static,
) -> GuardedSource {
    let guard = Guard::background("s3", WaitList::default());
    GuardedSource::new(Arc::new(Listed { keys: keys.into_iter().collect(), read }), guard)
}

fn denied(key: &str) -> SourceError {
    SourceError::Denied(key.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_which_nothing_can_be_read_is_the_operators_failure() {
    let keys = || (0..2_000).map(|n| format!("{}/{n:04}", n / 500));
    for refusal in [
        denied("k"),
        SourceError::Missing(ImageUri::new("b", "k")),
        SourceError::Refused { what: "k".to_owned(), reason: "405".to_owned() },
    ] {
        let refused = refusal.clone();
        let source = over(keys(), move |_| Err(refused.clone()));
        let error = source.fetch(&image("0/0000")).await.unwrap_err();
        let SourceError::Operator(operator) = &error else { panic!("{error:?}") };
        assert!(operator.to_string().contains("s3:GetObject"), "{operator}");
    }
    let alone = over(["only".to_owned()], |key| Err(denied(key)));
    assert_eq!(alone.fetch(&image("only")).await.unwrap_err(), denied("only"), "there is nothing to compare it with");
}

#[tokio::test(start_paused = true)]
async fn objects_that_may_not_be_read_fail_alone_if_any_other_can_be_read() {
    let keys = || (0..2_000).map(|n| format!("{}/{n:04}", n / 500));
    // A whole folder at the start of the listing, and all objects but those of the last folder.
    for readable in ["1/", "3/"] {
        let source = over(keys(), move |key| if key >= readable { Ok(()) } else { Err(denied(key)) });
        for key in ["0/0000", "0/0100"] {
            assert_eq!(source.fetch(&image(key)).await.unwrap_err(), denied(key), "{readable}");
        }
    }
    let few = over((0..40).map(|n| format!("{n:02}")), |key| if key > "04" { Ok(()) } else { Err(denied(key)) });
    assert_eq!(few.fetch(&image("00")).await.unwrap_err(), denied("00"));
}

#[tokio::test(start_paused = true)]
async fn while_every_body_breaks_off_the_service_is_waited_for() {
    let begun = Instant::now();
    let broken = |key: &str| SourceError::BrokenOff { uri: ImageUri::new("b", key), got: 1, expected: 2 };
    let until = Duration::from_secs(100);
    let source =
        over((0..9).map(|n| n.to_string()), move |key| if begun.elapsed() < until { Err(broken(key)) } else { Ok(()) });
    source.fetch(&image("0")).await.unwrap();
    assert!(begun.elapsed() >= until);
    let alone = over((0..9).map(|n| n.to_string()), move |key| if key == "0" { Err(broken(key)) } else { Ok(()) });
    assert_eq!(alone.fetch(&image("0")).await.unwrap_err(), broken("0"));
}

#[tokio::test(start_paused = true)]
async fn while_the_service_fails_for_every_object_it_is_waited_for() {
    let begun = Instant::now();
    let until = Duration::from_secs(100);
    let source =
        over((0..9).map(|n| n.to_string()), move |_| if begun.elapsed() < until { Err(down()) } else { Ok(()) });
    source.fetch(&image("0")).await.unwrap();
    let alone = over((0..9).map(|n| n.to_string()), |key| if key == "0" { Err(down()) } else { Ok(()) });
    assert!(matches!(alone.fetch(&image("0")).await.unwrap_err(), SourceError::Failing { .. }));
}

/// A bucket that fails a number of times. It counts the listings that are opened at the same time after their first
/// failure.
#[derive(Default)]
struct Throttled {
    failures: AtomicU32,
    opened: AtomicU32,
    running: Arc<AtomicU32>,
    max_running: Arc<AtomicU32>,
}

#[async_trait]
impl ImageSource for Throttled {
    fn list(&self, _: &Scope) -> Listing {
        let is_first = self.opened.fetch_add(1, Ordering::SeqCst) < 8;
        let fails = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let (running, max_running) = (self.running.clone(), self.max_running.clone());
        let answer = async move {
            if !is_first {
                max_running.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            if !is_first {
                running.fetch_sub(1, Ordering::SeqCst);
            }
            if fails { Err(down()) } else { Ok(image("1")) }
        };
        stream::once(answer).boxed()
    }
    async fn fetch(&self, _: &ImageRef) -> Result<Fetched, SourceError> {
        Err(down())
    }
    async fn fetch_file(&self, _: &ImageUri, _: u64) -> Result<Fetched, SourceError> {
        Err(down())
    }
    async fn put(&self, _: &ImageUri, _: NewObject) -> Result<Option<String>, SourceError> {
        Err(down())
    }
}

#[tokio::test(start_paused = true)]
async fn listings_that_fail_together_try_again_one_after_the_other() {
    let throttled = Arc::new(Throttled { failures: AtomicU32::new(13), ..Throttled::default() });
    let source = GuardedSource::new(throttled.clone(), Guard::background("s3", WaitList::default()));
    let scope = Scope { bucket: "b".to_owned(), prefix: String::new(), start_after: None };
    let listings = (0..8).map(|_| source.list(&scope).try_collect::<Vec<ImageRef>>());
    let all = futures::future::try_join_all(listings).await.unwrap();
    assert!(all.iter().all(|images| images.len() == 1));
    assert_eq!(throttled.max_running.load(Ordering::SeqCst), 1);
    assert_eq!(throttled.opened.load(Ordering::SeqCst), 8 + 13, "one for each listing and for each failure");
}
