//! Leases under everything that can happen to them, in every order.

use proptest::prelude::*;

use super::*;
use crate::domain::{FailureClass, ImageUri};
use crate::jobs::ledger::Report;
use crate::jobs::ledger::fixture::{collection, planning};

#[path = "leases_model.rs"]
mod model;

use model::{LEASE, WORKERS, Worker, World, outcome, run, step};

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_item_is_lost_or_counted_twice_and_the_job_ends(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        run(async {
            let mut world = World::new().await;
            world.plan(7, 3).await;
            for step in steps {
                world.take(step).await;
                world.check().await;
            }
            world.finish().await;
        });
    }
}

#[test]
fn an_image_that_kills_its_workers_fails_alone_and_nothing_else_does() {
    run(async {
        let mut world = World::new().await;
        world.plan(64, 16).await;
        world.ledger.planned(world.job, planning(1), true).await.unwrap();
        let poison = ImageUri::new("b", "0021.jpg");
        let mut deaths = 0;
        loop {
            // As a pool does: it takes as much as it gets before it is done with anything.
            let mut got = Vec::new();
            let over = loop {
                match world.lease(0).await {
                    Leased::Batch(batch) => got.push(batch),
                    Leased::NothingYet => break false,
                    Leased::NothingLeft => break true,
                }
            };
            if got.iter().any(|batch| batch.tasks.iter().any(|task| task.image.uri == poison)) {
                deaths += 1;
                world.ledger.end_leases_of_dead(world.job, WORKERS[0]).await.unwrap();
                world.workers[0] = Worker::default();
            } else {
                for batch in got {
                    let outcomes = batch.tasks.iter().map(|task| outcome(task, false)).collect();
                    world.report(0, Report { batch: batch.id, attempt: batch.attempt, outcomes }).await;
                }
                if over {
                    break;
                }
            }
            world.check().await;
        }
        let failed = world.ledger.failures(world.job, 0, 10).await.unwrap().failures;
        let named: Vec<_> =
            failed.iter().map(|failure| (failure.uri.clone(), failure.class, failure.attempts)).collect();
        // With 15, 7, 3 and 1 neighbours, then four times alone.
        assert_eq!((named, deaths), (vec![(poison, FailureClass::Crashed, 8)], 8));
        assert_eq!((world.counts.done, world.counts.failed), (63, 1));
    });
}

#[test]
fn a_lease_that_ran_out_is_another_s_and_its_worker_hears_of_it() {
    run(async {
        let mut world = World::new().await;
        world.plan(4, 4).await;
        let Leased::Batch(old) = world.lease(0).await else { panic!("nothing leased") };
        world.now += LEASE - 1;
        assert!(world.ledger.expire(world.job, world.now).await.unwrap().is_empty());
        world.renew(0).await;
        world.now += LEASE - 1;
        assert!(world.ledger.expire(world.job, world.now).await.unwrap().is_empty(), "renewed in time");
        world.now += 1;
        assert_eq!(world.ledger.expire(world.job, world.now).await.unwrap(), ["a"]);
        let Leased::Batch(half) = world.lease(1).await else { panic!("nothing leased") };
        assert_eq!((half.tasks.len(), half.id), (2, old.id), "half of it, under the old number");
        assert!(matches!(world.lease(1).await, Leased::NothingYet), "who has a suspect gets nothing else");

        let report = |outcomes| vec![Report { batch: old.id, attempt: old.attempt, outcomes }];
        let late = report(vec![outcome(&old.tasks[0], false), outcome(&old.tasks[1], true)]);
        let said = world.ledger.report(world.job, collection(), "s".into(), "a", late).await.unwrap();
        assert_eq!((said.counts.done, said.counts.failed, said.lost), (1, 0, vec![old.id]));
        let held = vec![Held { batch: old.id, attempt: old.attempt }];
        let renewed = world.ledger.renew(world.job, "a", held.clone(), world.now).await.unwrap();
        assert_eq!(renewed, Renewed { lost: vec![old.id], gone: vec![] });
        let report = Report { batch: half.id, attempt: half.attempt, outcomes: vec![outcome(&half.tasks[1], true)] };
        let said = world.ledger.report(world.job, collection(), "s".into(), "b", vec![report]).await.unwrap();
        assert_eq!((said.counts.done, said.counts.failed, said.lost), (1, 1, vec![]));
        let renewed = world.ledger.renew(world.job, "a", held, world.now).await.unwrap();
        assert_eq!(renewed, Renewed { lost: vec![], gone: vec![old.id] });
    });
}

#[test]
fn a_worker_that_reports_in_time_keeps_every_lease_and_one_that_says_nothing_loses_them() {
    run(async {
        let mut world = World::new().await;
        world.plan(8, 4).await;
        let Leased::Batch(first) = world.lease(0).await else { panic!("nothing leased") };
        let Leased::Batch(second) = world.lease(0).await else { panic!("nothing leased") };
        for task in &first.tasks {
            world.now += LEASE - 1;
            let report = Report { batch: first.id, attempt: first.attempt, outcomes: vec![outcome(task, false)] };
            world.report(0, report).await;
            assert!(world.ledger.expire(world.job, world.now).await.unwrap().is_empty());
            world.check().await;
        }
        // Nothing is to be had, and asking for it keeps what is held.
        world.now += LEASE - 1;
        assert!(matches!(world.lease(0).await, Leased::NothingYet));
        world.now += LEASE - 1;
        assert!(world.ledger.expire(world.job, world.now).await.unwrap().is_empty());
        let held = Held { batch: second.id, attempt: second.attempt };
        assert!(world.ledger.holds(world.job, WORKERS[0], held).await.unwrap());
        world.now += 1;
        assert_eq!(world.ledger.expire(world.job, world.now).await.unwrap(), ["a"]);
        assert!(!world.ledger.holds(world.job, WORKERS[0], held).await.unwrap());
    });
}

#[test]
fn a_lease_whose_grant_was_not_answered_is_granted_again_as_the_same() {
    run(async {
        let mut world = World::new().await;
        world.plan(8, 4).await;
        let Leased::Batch(lost) = world.lease(0).await else { panic!("nothing leased") };
        let unanswered = Held { batch: lost.id, attempt: lost.attempt };
        let ask = || {
            let prolong = Prolong { held: Some(vec![]), until: world.now + LEASE };
            world.ledger.lease_and_prolong(world.job, WORKERS[0], Some(unanswered), prolong)
        };
        let Leased::Batch(again) = ask().await.unwrap() else { panic!("nothing leased") };
        assert_eq!((again.id, again.attempt, again.tasks.len()), (lost.id, lost.attempt, 4));
        world.ledger.end_leases_of_dead(world.job, WORKERS[0]).await.unwrap();
        let Leased::Batch(other) = ask().await.unwrap() else { panic!("nothing leased") };
        assert_ne!((other.id, other.attempt), (lost.id, lost.attempt), "it is not the worker's any more");
    });
}

#[test]
fn after_a_start_a_lease_lasts_no_longer_than_others_although_the_clock_was_ahead_before() {
    run(async {
        let mut world = World::new().await;
        world.plan(4, 4).await;
        let ahead = world.now + 86_400_000;
        world.ledger.lease(world.job, WORKERS[0], Some(ahead)).await.unwrap();
        world.ledger.prolong(world.job, world.now + LEASE).await.unwrap();
        assert_eq!(world.ledger.expire(world.job, world.now + LEASE).await.unwrap(), ["a"]);
    });
}
