use super::*;

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn name(text: &str) -> MirrorName {
    MirrorName::parse(text).unwrap()
}

/// The times of a schedule from one time until another.
fn times(expression: &str, zone: &str, from: &str, until: &str) -> Vec<String> {
    let schedule = Schedule::parse(expression, zone).unwrap();
    let (mut now, until) = (time(from), time(until));
    let mut found = Vec::new();
    while let Some(next) = schedule.next_after(now).filter(|next| *next < until) {
        found.push(next.to_string()[..16].to_owned());
        now = next;
    }
    found
}

#[test]
fn a_year_has_every_run_once() {
    let (from, until) = ("2025-12-31T23:59:59Z", "2027-01-01T00:00:00Z");
    assert_eq!(times("*/15 * * * *", "UTC", from, until).len(), 365 * 96);
    assert_eq!(times("30 3 * * *", "Asia/Kolkata", from, until).len(), 365);
    assert_eq!(times("0 12 29 2 *", "UTC", from, "2029-01-01T00:00:00Z"), ["2028-02-29T12:00"]);
    let mondays = times("0 6 * * 1", "America/New_York", from, until);
    assert_eq!(mondays.len(), 52);
    assert_eq!((&*mondays[0], &*mondays[26]), ("2026-01-05T11:00", "2026-07-06T10:00"), "the zone's clock counts");
}

#[test]
fn a_fixed_time_runs_once_when_clocks_change() {
    // In Berlin, 02:30 does not exist on 2026-03-29 and exists twice on 2026-10-25.
    let spring = times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
    assert_eq!(spring, ["2026-03-29T01:00", "2026-03-30T00:30"], "directly after the missing hour");
    let autumn = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
    assert_eq!(autumn, ["2026-10-25T00:30", "2026-10-26T01:30"]);
    // A day is never without its run, and never has two, in any year of a zone with both changes.
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"] {
        let all = times("30 2 * * *", zone, "2025-12-31T12:00:00Z", "2026-12-31T12:00:00Z");
        assert_eq!(all.len(), 365, "{zone}");
    }
}

#[test]
fn an_interval_runs_in_both_hours_when_clocks_go_back() {
    let spring = times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z");
    assert_eq!(spring, ["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"]);
    let autumn = times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", "2026-10-25T02:00:00Z");
    assert_eq!(autumn, ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"]);
}

#[test]
fn jitter_is_bounded_and_the_same_for_a_name() {
    let run = |expression, mirror: &str| {
        let schedule = Schedule::parse(expression, "UTC").unwrap();
        let first = schedule.next_run(&name(mirror), time("2026-01-01T00:00:30Z")).unwrap();
        assert_eq!(Some(first), schedule.next_run(&name(mirror), time("2026-01-01T00:00:30Z")));
        first.unix_seconds() - schedule.next_after(time("2026-01-01T00:00:30Z")).unwrap().unix_seconds()
    };
    let hourly: Vec<i64> = (0..50).map(|number| run("0 * * * *", &format!("m{number}"))).collect();
    assert!(hourly.iter().all(|seconds| (0..=60).contains(seconds)), "{hourly:?}");
    assert!(hourly.iter().any(|seconds| *seconds < 20) && hourly.iter().any(|seconds| *seconds > 40), "{hourly:?}");
    let often: Vec<i64> = (0..50).map(|number| run("* * * * *", &format!("m{number}"))).collect();
    assert!(often.iter().all(|seconds| (0..=6).contains(seconds)), "{often:?}");
}

#[test]
fn what_is_not_a_schedule_is_refused_with_its_value() {
    for wrong in ["", "* * * *", "0 0 * * * *", "60 * * * *", "@often", "a b c d e", &"1,".repeat(100)] {
        let error = Schedule::parse(wrong, "UTC").unwrap_err();
        assert!(matches!(error, InvalidSchedule::Expression { .. }), "{wrong}: {error}");
    }
    assert_eq!(Schedule::parse("0 0 30 2 *", "UTC").unwrap_err(), InvalidSchedule::Never("0 0 30 2 *".to_owned()));
    let error = Schedule::parse("0 0 * * *", "Europe/Atlantis").unwrap_err();
    assert_eq!(error, InvalidSchedule::TimeZone("Europe/Atlantis".to_owned()));
    Schedule::parse("@hourly", "UTC").unwrap();
}
