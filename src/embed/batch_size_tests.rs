use super::*;

const TIMEOUT: Duration = Duration::from_mins(1);

fn up_to(most: usize) -> BatchSize {
    BatchSize::new(NonZeroUsize::new(most).unwrap(), TIMEOUT)
}

/// So many full requests, each of which takes so long an image.
async fn answered(size: &BatchSize, requests: u32, an_image: Duration) {
    for _ in 0..requests {
        let sent = size.now();
        let request = size.begin(sent);
        tokio::time::advance(an_image * u32::try_from(sent).unwrap()).await;
        request.ended(&Ok(()));
    }
}

fn failed(status: Option<u16>, trouble: Trouble) -> Result<(), NoAnswer> {
    let down = DependencyError { dependency: "clip".into(), trouble, detail: String::new() };
    Err(NoAnswer { status: status.map(|status| StatusCode::from_u16(status).unwrap()), error: down.into() })
}

const FAST: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn it_begins_small_and_grows_to_the_most_while_that_is_no_slower() {
    let size = up_to(20);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(size.now());
        answered(&size, SAMPLES, FAST).await;
    }
    assert_eq!(seen, [4, 8, 16, 20, 20]);
    assert_eq!([up_to(1).now(), up_to(3).now()], [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_makes_an_image_slower_is_taken_back_and_tried_again_later() {
    let size = up_to(8);
    answered(&size, SAMPLES, FAST).await;
    // One of three was as quick as before: the others were slow by chance.
    answered(&size, SAMPLES - 1, FAST * 3).await;
    answered(&size, 1, FAST).await;
    assert_eq!(size.now(), 8);
    answered(&size, SAMPLES, FAST * 2).await;
    assert_eq!(size.now(), 4);
    answered(&size, SAMPLES + CAUTION - 1, FAST).await;
    assert_eq!(size.now(), 4);
    answered(&size, 1, FAST).await;
    assert_eq!(size.now(), 8);
    answered(&size, SAMPLES, FAST * 2).await;
    answered(&size, SAMPLES + 2 * CAUTION - 1, FAST).await;
    assert_eq!(size.now(), 4, "the second time it is more careful");
}

#[tokio::test(start_paused = true)]
async fn what_was_too_much_is_halved_once_for_all_that_went_together() {
    let too_much = [
        failed(Some(413), Trouble::Refused),
        failed(Some(429), Trouble::Busy { retry_after: FAST }),
        failed(Some(500), Trouble::Failed),
        failed(Some(503), Trouble::Busy { retry_after: FAST }),
        failed(Some(504), Trouble::TimedOut),
        failed(None, Trouble::TimedOut),
    ];
    for outcome in &too_much {
        let size = up_to(4);
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
async fn what_says_nothing_of_the_size_leaves_it() {
    let size = up_to(4);
    let rejected = NoAnswer { status: Some(StatusCode::UNPROCESSABLE_ENTITY), error: EmbedError::Rejected("x".into()) };
    size.begin(4).ended::<()>(&Err(rejected));
    size.begin(4).ended(&failed(None, Trouble::Failed));
    size.begin(4).ended(&failed(Some(200), Trouble::Failed));
    size.begin(4).ended(&failed(Some(401), Trouble::Refused));
    drop(size.begin(4));
    for _ in 0..SAMPLES {
        size.begin(3).ended(&Ok(()));
    }
    assert_eq!(size.now(), 4);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_given_up_for_its_silence_was_too_much() {
    let size = up_to(4);
    let request = size.begin(4);
    tokio::time::advance(TIMEOUT / 2).await;
    drop(request);
    assert_eq!(size.now(), 2);
}
