use super::*;

const TIMEOUT: Duration = Duration::from_mins(1);

fn batch_size(max: usize) -> BatchSize {
    BatchSize::new(NonZeroUsize::new(max).unwrap(), TIMEOUT)
}

/// Makes `requests` full requests that take `per_image` for each image.
async fn succeed(size: &BatchSize, requests: u32, per_image: Duration) {
    for _ in 0..requests {
        let sent = size.now();
        let request = size.begin(sent);
        tokio::time::advance(per_image * u32::try_from(sent).unwrap()).await;
        request.ended(&Ok(()));
    }
}

fn failed(status: Option<u16>, trouble: Trouble) -> Result<(), RequestError> {
    let down = DependencyError { dependency: "clip".into(), trouble, detail: String::new() };
    Err(RequestError { status: status.map(|status| StatusCode::from_u16(status).unwrap()), error: down.into() })
}

const FAST: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn the_size_grows_to_the_maximum_while_requests_are_not_slower() {
    let size = batch_size(20);
    let mut sizes = Vec::new();
    for _ in 0..5 {
        sizes.push(size.now());
        succeed(&size, MIN_SAMPLES, FAST).await;
    }
    assert_eq!(sizes, [4, 8, 16, 20, 20]);
    assert_eq!([batch_size(1).now(), batch_size(3).now()], [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_slower_size_is_reduced_and_tried_again_later() {
    let size = batch_size(8);
    succeed(&size, MIN_SAMPLES, FAST).await;
    // One of three requests is as fast as before, so the size stays.
    succeed(&size, MIN_SAMPLES - 1, FAST * 3).await;
    succeed(&size, 1, FAST).await;
    assert_eq!(size.now(), 8);
    succeed(&size, MIN_SAMPLES, FAST * 2).await;
    assert_eq!(size.now(), 4);
    succeed(&size, MIN_SAMPLES + INITIAL_EXTRA_SAMPLES - 1, FAST).await;
    assert_eq!(size.now(), 4);
    succeed(&size, 1, FAST).await;
    assert_eq!(size.now(), 8);
    succeed(&size, MIN_SAMPLES, FAST * 2).await;
    succeed(&size, MIN_SAMPLES + 2 * INITIAL_EXTRA_SAMPLES - 1, FAST).await;
    assert_eq!(size.now(), 4, "more samples are required the second time");
}

#[tokio::test(start_paused = true)]
async fn concurrent_failures_halve_the_size_once() {
    let failures = [
        failed(Some(413), Trouble::Refused),
        failed(Some(429), Trouble::Busy { retry_after: FAST }),
        failed(Some(500), Trouble::Failed),
        failed(Some(503), Trouble::Busy { retry_after: FAST }),
        failed(Some(504), Trouble::TimedOut),
        failed(None, Trouble::TimedOut),
    ];
    for outcome in &failures {
        let size = batch_size(4);
        let (one, other) = (size.begin(4), size.begin(4));
        one.ended(outcome);
        other.ended(outcome);
        assert_eq!(size.now(), 2, "{outcome:?}");
        size.begin(2).ended(outcome);
        size.begin(1).ended(outcome);
        assert_eq!(size.now(), 1, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_that_do_not_depend_on_the_size_do_not_change_it() {
    let size = batch_size(4);
    let rejected =
        RequestError { status: Some(StatusCode::UNPROCESSABLE_ENTITY), error: EmbedError::Rejected("x".into()) };
    size.begin(4).ended::<()>(&Err(rejected));
    size.begin(4).ended(&failed(None, Trouble::Failed));
    size.begin(4).ended(&failed(Some(200), Trouble::Failed));
    size.begin(4).ended(&failed(Some(401), Trouble::Refused));
    drop(size.begin(4));
    for _ in 0..MIN_SAMPLES {
        size.begin(3).ended(&Ok(()));
    }
    assert_eq!(size.now(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_request_dropped_after_a_long_wait_halves_the_size() {
    let size = batch_size(4);
    let request = size.begin(4);
    tokio::time::advance(TIMEOUT / 2).await;
    drop(request);
    assert_eq!(size.now(), 2);
}
