//! Tests of the loop with a scripted cluster, in paused time.

use std::collections::VecDeque;

use super::*;
use crate::domain::{Executor, FailureClass, ImageRef, ImageUri, ItemFailure, JobId};
use crate::jobs::placing::cluster::PlacedFailure;
use crate::jobs::placing::end_placement::EndPlacement;
use crate::jobs::placing::script::{ClusterReply, Script};
use crate::ledger::leases::Leased;
use crate::ledger::planning::Page;
use crate::ledger::{Report, fixture, logs};
use crate::pipeline::{ItemOutcome, PipelineSettings, Stages, TaskOutcome};

struct Test {
    ray: Ray,
    script: Arc<Script>,
    _folder: tempfile::TempDir,
}

impl Test {
    async fn new(replies: impl IntoIterator<Item = ClusterReply>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let job = fixture::job(Executor::Ray);
        fixture::begin(&ledger, &job).await;
        let image = |key: u32| {
            let uri = ImageUri::new("b", &format!("{key}.jpg"));
            ImageRef { uri, etag: None, size_bytes: 1, modified: None }
        };
        let page = Page { listed: 8, images: (0..8).map(image).collect(), ..Page::default() };
        fixture::plan(&ledger, job.id, page, fixture::planning(1)).await;
        let job = ledger.job(job.id).await.unwrap().unwrap();
        let stages = Stages::new(PipelineSettings::default().lanes(), None);
        let running = Arc::new(RunningJob::new(stages, CancellationToken::new(), &job.counts));
        let script = Arc::new(Script::with_statuses(replies));
        let placing = Placing { cluster: script.clone(), max_retries: 3, timeout: None };
        let ray = Ray { placing, ledger, job, running, drain: CancellationToken::new() };
        Self { ray, script, _folder: folder }
    }

    fn id(&self) -> JobId {
        self.ray.job.id
    }

    /// Reports one more image as processed.
    async fn process_one_image(&self) {
        let (ledger, job) = (&self.ray.ledger, self.id());
        let leased = fixture::lease(ledger, job, "w", Some(i64::MAX)).await;
        let Leased::Batch(batch) = leased else { panic!("nothing is left") };
        let task = &batch.tasks[0];
        let (uri, message) = (task.image.uri.clone(), "processed".to_owned());
        let result = ItemOutcome::Failed(ItemFailure { uri, class: FailureClass::Corrupt, message, attempts: 1 });
        let outcome = TaskOutcome { ticket: task.ticket, result };
        let report = Report { batch: batch.id, attempt: batch.attempt, outcomes: vec![outcome] };
        fixture::report(ledger, job, "w", vec![report]).await;
    }

    async fn log(&self) -> String {
        let id = self.id();
        let page = self.ray.ledger.read(move |db| logs::page(db, id, None)).await.unwrap();
        page.lines.into_iter().map(|(_, line)| line + "\n").collect()
    }

    async fn place(&self, fruitless: u32) -> PlacementRow {
        let id = self.id();
        let placed = self.ray.ledger.write(move |tx| placements::place(tx, id, "digest", fruitless, 0));
        placed.await.unwrap().unwrap()
    }

    async fn placement(&self) -> PlacementRow {
        let id = self.id();
        self.ray.ledger.read(move |db| placements::find(db, id)).await.unwrap().unwrap()
    }

    async fn token(&self) -> Option<String> {
        let id = self.id();
        self.ray.ledger.read(move |db| placements::token(db, id)).await.unwrap()
    }

    /// Checks that the loop still runs after this many status requests. Not measured in time, since paused time
    /// advances while the test waits for SQLite's thread.
    async fn runs_for(&self, replies: usize) {
        let until = self.script.calls("status").len() + replies;
        let looked = async {
            while self.script.calls("status").len() < until {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            kept = self.ray.keep() => panic!("{kept:?}"),
            () = looked => {}
        }
    }
}

fn failed(failure: PlacedFailure, message: &str) -> Placed {
    Placed::Failed { failure, message: message.to_owned(), lines: vec!["a \u{1b}[31mred line".to_owned()] }
}

fn died() -> Placed {
    failed(PlacedFailure::Died, "exit code 70")
}

fn running() -> Placed {
    Placed::Running("runs".into())
}

#[tokio::test(start_paused = true)]
async fn workers_without_progress_are_placed_again_up_to_the_limit() {
    let test = Test::new([Ok(died())]).await;
    let error = test.ray.keep().await.unwrap_err().to_string();
    assert!(
        error.contains("4 times") && error.contains("RAY_TASK_MAX_RETRIES") && error.contains("exit code 70"),
        "{error}"
    );
    assert_eq!(test.script.calls("submit"), ["submit g1", "submit g2", "submit g3", "submit g4"]);
    let mut tokens = test.script.tokens.lock().unwrap().clone();
    tokens.dedup();
    assert_eq!(tokens.len(), 4, "each generation has its own token");
    let log = test.log().await;
    assert_eq!(log.matches("[ray] a  [31mred line").count(), 4, "{log}");
    assert!(!tokens.iter().any(|token| log.contains(token)));
}

#[tokio::test(start_paused = true)]
async fn a_generation_with_progress_resets_the_count() {
    let test = Test::new([Ok(running())]).await;
    // A generation dies only after its image was processed: paused time advances while the test waits for SQLite.
    let progress = async {
        for generation in 1..=10 {
            let submitted = format!("submit g{generation}");
            while !test.script.calls("submit").contains(&submitted) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            if generation <= 6 {
                test.process_one_image().await;
            }
            test.script.reply_next(Ok(died()));
        }
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        kept = test.ray.keep() => kept.unwrap_err(),
        () = progress => unreachable!(),
    };
    assert!(matches!(error, PlaceError::NoProgress { times: 4, .. }), "{error}");
    let submits = test.script.calls("submit");
    assert_eq!(submits.len(), 10, "six with progress, and four without: {submits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_setup_failure_fails_the_job_and_a_stop_in_ray_stops_it() {
    let unfit = Test::new([Ok(running()), Ok(failed(PlacedFailure::Setup, "no such file"))]).await;
    let error = unfit.ray.keep().await.unwrap_err().to_string();
    assert_eq!(error, "Ray could not start the job's workers: no such file");
    assert_eq!(unfit.script.calls("submit").len(), 1);
    let stopped = Test::new([Ok(running()), Ok(Placed::Stopped)]).await;
    assert!(matches!(stopped.ray.keep().await, Err(PlaceError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn refused_workers_are_placed_only_once() {
    let refused = || failed(PlacedFailure::Refused, "exit code 78");
    let test = Test::new([Ok(running()), Ok(refused())]).await;
    test.ray.running.remote_workers.refuse("the worker has version 9, the service has version 1");
    let error = test.ray.keep().await.unwrap_err().to_string();
    assert!(error.contains("every worker") && error.contains("the worker has version 9"), "{error}");
    assert_eq!(test.script.calls("submit"), ["submit g1"]);
    assert!(test.log().await.contains("Ray ended"), "{}", test.log().await);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_moves_to_another_executor_gets_no_new_workers() {
    // The status "died" arrives after the job was moved, and before this run is notified.
    let test = Test::new([Ok(running()), Ok(died())]).await;
    let handed_over = async {
        while test.script.calls("status").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let id = test.id();
        let hand_over =
            test.ray.ledger.write(move |tx| placements::hand_over(tx, id, Executor::Workers, Some("theirs")));
        hand_over.await.unwrap();
    };
    let (kept, ()) = tokio::join!(test.ray.keep(), handed_over);
    kept.unwrap();
    assert_eq!(test.script.calls("submit"), ["submit g1"]);
    assert_eq!(test.token().await.as_deref(), Some("theirs"));
    assert_eq!(test.ray.running.next_executor(), Some(Executor::Workers));
}

#[tokio::test(start_paused = true)]
async fn a_placement_whose_reply_was_lost_is_sent_again_with_the_same_id() {
    let test = Test::new([Ok(Placed::Gone), Ok(Placed::Gone), Ok(running())]).await;
    let lost = || Err(ClusterError::TimedOut("slow".into()));
    *test.script.submits.lock().unwrap() = VecDeque::from([lost(), lost(), lost()]);
    test.runs_for(6).await;
    assert_eq!(test.script.calls("submit"), ["submit g1", "submit g1", "submit g1"]);
    let tokens = test.script.tokens.lock().unwrap().clone();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "each submission has the token whose digest is recorded");
    assert!(test.placement().await.submitted);

    let refused = Test::new([Ok(Placed::Gone)]).await;
    *refused.script.submits.lock().unwrap() = VecDeque::from([Err(ClusterError::Refused("400".into()))]);
    let error = refused.ray.keep().await.unwrap_err().to_string();
    assert!(error.contains("Ray refuses") && error.contains("images that are done are kept"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_service_places_new_workers_only_if_the_old_ones_are_gone() {
    let found = Test::new([Ok(running())]).await;
    found.place(0).await;
    let id = found.id();
    found.ray.ledger.write(move |tx| placements::set_submitted(tx, id)).await.unwrap();
    found.runs_for(4).await;
    assert_eq!(found.script.calls("submit"), Vec::<String>::new());
    assert_eq!(found.token().await.as_deref(), Some("digest"));

    // The service was killed after it recorded the placement and before it called the cluster. This does not count as a
    // generation without progress.
    let lost = Test::new([Ok(Placed::Gone), Ok(running())]).await;
    lost.place(2).await;
    lost.runs_for(4).await;
    assert_eq!(lost.script.calls("submit"), ["submit g2"]);
    assert_eq!(lost.placement().await.fruitless, 2);
}

#[tokio::test(start_paused = true)]
async fn the_status_has_a_warning_while_the_cluster_is_away() {
    let away = || Err(ClusterError::Unreachable("connection refused".into()));
    let test = Test::new([Ok(running()), away(), away(), away(), Ok(running())]).await;
    test.runs_for(3).await;
    let warning = test.ray.running.placing.warning().unwrap();
    assert!(warning.starts_with("Ray cannot be reached at RAY_ADDRESS, since"), "{warning}");
    test.runs_for(3).await;
    assert_eq!(test.ray.running.placing.warning(), None);
    assert_eq!(test.script.calls("submit").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_the_cluster_is_asked_only_after_the_grace_period() {
    let test =
        Test::new([Ok(running()), Ok(running()), Ok(running()), Ok(running()), Ok(running()), Ok(Placed::Stopped)])
            .await;
    let begun = Instant::now();
    test.ray.running.stop.cancel();
    test.place(0).await;
    fixture::lease(&test.ray.ledger, test.id(), "w", Some(i64::MAX)).await;
    test.ray.keep().await.unwrap();
    assert!(begun.elapsed() >= STOP_GRACE, "{:?}", begun.elapsed());
    assert!(!test.script.calls("stop").is_empty() && test.script.calls("submit").is_empty());
    assert_eq!(fixture::held(&test.ray.ledger, test.id()).await, [], "no worker is left that could give it back");

    let early = Test::new([Ok(running())]).await;
    early.ray.running.stop.cancel();
    early.place(0).await;
    early.runs_for(2).await;
    assert_eq!(early.script.calls("stop"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stops_leaves_its_workers_running() {
    let test = Test::new([Ok(running())]).await;
    test.runs_for(2).await;
    test.ray.drain.cancel();
    test.ray.running.stop.cancel();
    test.ray.keep().await.unwrap();
    assert_eq!(test.script.calls("stop"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_fails() {
    let mut test = Test::new([Ok(running())]).await;
    test.ray.placing.timeout = Some(Duration::ZERO);
    let error = test.ray.keep().await.unwrap_err().to_string();
    assert!(error.contains("RAY_JOB_TIMEOUT"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_placement_of_an_ended_job_is_stopped() {
    let test = Test::new([Ok(running()), Ok(running()), Ok(running()), Ok(Placed::Stopped)]).await;
    let row = test.place(0).await;
    let end_placement = |grace| EndPlacement {
        placing: test.ray.placing.clone(),
        job: test.id(),
        submission: row.submission.clone(),
        grace,
        drain: CancellationToken::new(),
    };
    end_placement(Duration::ZERO).run().await;
    assert_eq!(test.script.calls("stop"), ["stop g1"], "asked once");

    // A placement that is PENDING ignores the stop. The service gives up after a while and will refuse its workers.
    let pending = Test::new([Ok(Placed::Pending("no room".into()))]).await;
    let begun = Instant::now();
    let end_placement = EndPlacement { placing: pending.ray.placing.clone(), ..end_placement(Duration::ZERO) };
    end_placement.run().await;
    assert!((60..70).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}
