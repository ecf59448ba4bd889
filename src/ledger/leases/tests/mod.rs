//! Tests of leases with all events, in every order.

use proptest::prelude::*;

use crate::domain::{FailureClass, ImageUri};
use crate::ledger::fixture::{self, planning};
use crate::ledger::leases::*;
use crate::ledger::{Report, failures};

mod check;
mod model;

use model::{LEASE, WORKERS, Worker, World, outcome, run, step};

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_item_is_lost_or_counted_twice_and_the_job_ends(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        run(async {
            let mut world = World::new().await;
            world.plan(7, 3).await;
            for step in steps {
                world.apply(step).await;
                world.check().await;
            }
            world.finish().await;
        });
    }
}

#[test]
fn only_the_image_that_kills_its_workers_fails() {
    run(async {
        let mut world = World::new().await;
        world.plan(64, 16).await;
        fixture::complete(&world.ledger, world.job, planning(1), true).await;
        let poison = ImageUri::new("b", "0021.jpg");
        let mut deaths = 0;
        loop {
            // A pool leases as many batches as it can get before it finishes any of them.
            let mut got = Vec::new();
            let finished = loop {
                match world.lease(0).await {
                    Leased::Batch(batch) => got.push(batch),
                    Leased::NothingYet => break false,
                    Leased::NothingLeft => break true,
                }
            };
            if got.iter().any(|batch| batch.tasks.iter().any(|task| task.image.uri == poison)) {
                deaths += 1;
                world.end_leases_of_dead(0).await;
                world.workers[0] = Worker::default();
            } else {
                for batch in got {
                    let outcomes = batch.tasks.iter().map(|task| outcome(task, false)).collect();
                    world.report(0, Report { batch: batch.id, attempt: batch.attempt, outcomes }).await;
                }
                if finished {
                    break;
                }
            }
            world.check().await;
        }
        let job = world.job;
        let failed = world.ledger.read(move |db| failures::page(db, job, 0, 10)).await.unwrap().failures;
        let named: Vec<_> =
            failed.iter().map(|failure| (failure.uri.clone(), failure.class, failure.attempts)).collect();
        // In batches with 15, 7, 3 and 1 other images, then four times alone.
        assert_eq!((named, deaths), (vec![(poison, FailureClass::Crashed, 8)], 8));
        assert_eq!((world.counts.done, world.counts.failed), (63, 1));
    });
}

#[test]
fn an_expired_lease_goes_to_another_worker_and_its_first_worker_is_informed() {
    run(async {
        let mut world = World::new().await;
        world.plan(4, 4).await;
        let Leased::Batch(old) = world.lease(0).await else { panic!("nothing leased") };
        world.now += LEASE - 1;
        assert!(world.expire().await.is_empty());
        world.renew(0).await;
        world.now += LEASE - 1;
        assert!(world.expire().await.is_empty(), "renewed in time");
        world.now += 1;
        assert_eq!(world.expire().await, ["a"]);
        let Leased::Batch(half) = world.lease(1).await else { panic!("nothing leased") };
        assert_eq!((half.tasks.len(), half.id), (2, old.id), "half of the batch, with the old number");
        assert!(
            matches!(world.lease(1).await, Leased::NothingYet),
            "a worker with a suspect batch gets no other batch"
        );

        let report = |outcomes| vec![Report { batch: old.id, attempt: old.attempt, outcomes }];
        let late = report(vec![outcome(&old.tasks[0], false), outcome(&old.tasks[1], true)]);
        let reported = fixture::report(&world.ledger, world.job, "a", late).await;
        assert_eq!((reported.counts.done, reported.counts.failed, reported.lost), (1, 0, vec![old.id]));
        let held = vec![Held { batch: old.id, attempt: old.attempt }];
        let renewed = world.renew_held(0, held.clone(), world.now).await;
        assert_eq!(renewed, LostLeases { lost: vec![old.id], gone: vec![] });
        let report = Report { batch: half.id, attempt: half.attempt, outcomes: vec![outcome(&half.tasks[1], true)] };
        let reported = fixture::report(&world.ledger, world.job, "b", vec![report]).await;
        assert_eq!((reported.counts.done, reported.counts.failed, reported.lost), (1, 1, vec![]));
        let renewed = world.renew_held(0, held, world.now).await;
        assert_eq!(renewed, LostLeases { lost: vec![], gone: vec![old.id] });
    });
}

#[test]
fn a_worker_keeps_its_leases_only_while_it_reports_in_time() {
    run(async {
        let mut world = World::new().await;
        world.plan(8, 4).await;
        let Leased::Batch(first) = world.lease(0).await else { panic!("nothing leased") };
        let Leased::Batch(second) = world.lease(0).await else { panic!("nothing leased") };
        for task in &first.tasks {
            world.now += LEASE - 1;
            let report = Report { batch: first.id, attempt: first.attempt, outcomes: vec![outcome(task, false)] };
            world.report(0, report).await;
            assert!(world.expire().await.is_empty());
            world.check().await;
        }
        // There is no batch to lease, but the request extends the leases that the worker holds.
        world.now += LEASE - 1;
        assert!(matches!(world.lease(0).await, Leased::NothingYet));
        world.now += LEASE - 1;
        assert!(world.expire().await.is_empty());
        let held = Held { batch: second.id, attempt: second.attempt };
        assert!(world.holds(0, held).await);
        world.now += 1;
        assert_eq!(world.expire().await, ["a"]);
        assert!(!world.holds(0, held).await);
    });
}

#[test]
fn a_lease_whose_grant_was_lost_is_granted_again() {
    run(async {
        let mut world = World::new().await;
        world.plan(8, 4).await;
        let Leased::Batch(lost) = world.lease(0).await else { panic!("nothing leased") };
        let unanswered = Held { batch: lost.id, attempt: lost.attempt };
        let (job, until) = (world.job, world.now + LEASE);
        let ask = move |tx: &Transaction<'_>| {
            let extension = LeaseRenewal { held: Some(vec![]), until };
            lease_and_renew(tx, job, WORKERS[0], Some(unanswered), &extension)
        };
        let Leased::Batch(again) = world.ledger.write(ask).await.unwrap() else { panic!("nothing leased") };
        assert_eq!((again.id, again.attempt, again.tasks.len()), (lost.id, lost.attempt, 4));
        world.end_leases_of_dead(0).await;
        let Leased::Batch(other) = world.ledger.write(ask).await.unwrap() else { panic!("nothing leased") };
        assert_ne!((other.id, other.attempt), (lost.id, lost.attempt), "the worker does not hold it any more");
    });
}

#[test]
fn after_a_restart_a_lease_from_a_clock_that_was_ahead_is_shortened() {
    run(async {
        let mut world = World::new().await;
        world.plan(4, 4).await;
        let ahead = world.now + 86_400_000;
        fixture::lease(&world.ledger, world.job, WORKERS[0], Some(ahead)).await;
        let (job, until) = (world.job, world.now + LEASE);
        world.ledger.write(move |tx| renew_all(tx, job, until)).await.unwrap();
        world.now = until;
        assert_eq!(world.expire().await, ["a"]);
    });
}
