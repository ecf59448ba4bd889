use super::*;
use crate::domain::{CollectionName, Executor, MirrorName, MirrorSpec};

const HOUR: i64 = 3_600;

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn after(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(time.unix_seconds() + seconds).unwrap()
}

fn mirror(schedule: Option<&str>, now: Timestamp) -> Mirror {
    let mut mirror = Mirror {
        name: MirrorName::parse("m").unwrap(),
        spec: MirrorSpec {
            bucket: "b".to_owned(),
            prefix: String::new(),
            collection: CollectionName::default(),
            schedule: schedule.map(str::to_owned),
            timezone: "Europe/Berlin".to_owned(),
            sync: true,
            max_delete_percent: None,
            exclude: None,
            metadata_key: None,
            executor: Executor::Local,
            events: true,
            sns_topic_arn: None,
        },
        state: MirrorState::Active,
        reason: None,
        created_at: now,
        next_run: None,
        list_soon: false,
        removed: 0,
    };
    mirror.next_run = next_run(&mirror, now);
    mirror
}

/// Follows the decisions from one time until another, as the scheduler does, without waiting. A run takes `duration`
/// seconds. Returns when runs started.
fn follow(mirror: &mut Mirror, from: Timestamp, until: Timestamp, duration: i64) -> Vec<Timestamp> {
    let (mut now, mut runs, mut end) = (from, Vec::new(), from);
    while now < until {
        now = match decide(mirror, now < end, now) {
            Decision::Nothing => until,
            Decision::WaitUntil(next) => next,
            Decision::WaitForRun => end,
            Decision::Start => {
                runs.push(now);
                (mirror.next_run, mirror.list_soon) = (next_run(mirror, now), false);
                end = after(now, duration);
                after(now, 1)
            }
        };
    }
    runs
}

#[test]
fn a_year_of_runs_has_none_twice_and_misses_none() {
    let (from, until) = (time("2026-01-01T00:00:00+01:00"), time("2027-01-01T00:00:00+01:00"));
    let mut hourly = mirror(Some("0 * * * *"), from);
    assert_eq!(
        follow(&mut hourly, from, until, 60).len(),
        365 * 24 - 1,
        "from 01:00 on 1 January, in both DST changes"
    );
    let mut daily = mirror(Some("30 2 * * *"), from);
    let runs = follow(&mut daily, from, until, 60);
    assert_eq!(runs.len(), 365);
    let gaps: Vec<i64> = runs.windows(2).map(|pair| pair[1].unix_seconds() - pair[0].unix_seconds()).collect();
    assert!(gaps.iter().all(|gap| (23 * HOUR..=25 * HOUR).contains(gap)), "{gaps:?}");
}

#[test]
fn runs_never_overlap_and_late_ones_are_one() {
    let (from, until) = (time("2026-06-01T00:00:00Z"), time("2026-06-02T00:00:00Z"));
    let mut often = mirror(Some("*/15 * * * *"), from);
    let runs = follow(&mut often, from, until, 50 * 60);
    assert!(runs.windows(2).all(|pair| pair[1] >= after(pair[0], 50 * 60)), "{runs:?}");
    // Each run takes three further times, which are one run directly after it.
    assert!((28..=29).contains(&runs.len()), "{}", runs.len());
}

#[test]
fn after_a_downtime_there_is_one_run() {
    let from = time("2026-06-01T00:00:00Z");
    let mut often = mirror(Some("*/15 * * * *"), from);
    let back = after(from, 30 * 24 * HOUR + 60);
    assert_eq!(decide(&often, false, back), Decision::Start);
    assert_eq!(follow(&mut often, back, after(back, 12 * 60), 60), [back]);
}

#[test]
fn only_active_mirrors_have_runs() {
    let now = time("2026-06-01T00:00:00Z");
    let mut due = Mirror { list_soon: true, ..mirror(None, now) };
    assert_eq!(decide(&due, false, now), Decision::Start);
    assert_eq!(decide(&due, true, now), Decision::WaitForRun);
    for state in [MirrorState::Paused, MirrorState::Stopped] {
        due.state = state;
        assert_eq!(decide(&due, false, now), Decision::Nothing);
    }
    assert_eq!(decide(&mirror(None, now), false, now), Decision::Nothing);
}

#[test]
fn a_time_that_a_wrong_clock_recorded_does_not_delay_a_run() {
    let now = time("2026-06-01T00:00:00Z");
    let mut hourly = mirror(Some("0 * * * *"), time("2046-06-01T00:00:00Z"));
    let Decision::WaitUntil(next) = decide(&hourly, false, now) else { panic!("no run") };
    assert!(next <= after(now, HOUR + 60), "{next}");
    hourly.next_run = None;
    assert_ne!(decide(&hourly, false, now), Decision::Nothing, "a schedule without a recorded time");
}
