//! The environment of the tests: its variables, and the servers and programs that not every machine has.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

use super::locked;

/// Servers, programs and data without which some tests are skipped. `REQUIRE`, a comma-separated list of these names, makes
/// what is missing a failure.
const OPTIONAL: [&str; 14] = [
    "axe",
    "browser",
    "caddy",
    "corpus",
    "infinity",
    "moto",
    "mount",
    "nginx",
    "pyarrow",
    "qdrant",
    "ray",
    "s3",
    "s3-denied",
    "weaviate",
];

/// Returns a variable of the environment; `None` if it is empty or not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Returns the path of an installed program.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Prints a line to stderr. The test runner does not capture it, unlike the output of `eprintln!`.
pub(crate) fn print(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Prints once that tests are skipped for want of `name`, and what provides it. Panics if `REQUIRE` names it.
pub(crate) fn skip(name: &'static str, remedy: &str) {
    static PRINTED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    assert!(OPTIONAL.contains(&name), "OPTIONAL lacks {name:?}");
    let required = parse_required(&variable("REQUIRE").unwrap_or_default()).unwrap();
    assert!(!required.contains(name), "REQUIRE has {name}, which is missing: {remedy}");
    if locked(&PRINTED).insert(name) {
        print(&format!("skipped: {remedy}"));
    }
}

fn parse_required(list: &str) -> Result<BTreeSet<&'static str>, String> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let known = |name: &str| OPTIONAL.into_iter().find(|known| *known == name);
    names.map(|name| known(name).ok_or(format!("REQUIRE: {name:?} is not one of {}", OPTIONAL.join(", ")))).collect()
}

#[test]
fn require_has_only_known_names() {
    parse_required(&variable("REQUIRE").unwrap_or_default()).unwrap();
    assert_eq!(parse_required("ray, browser,").unwrap(), BTreeSet::from(["browser", "ray"]));
    assert!(parse_required("browser,wevaiate").unwrap_err().contains("\"wevaiate\" is not one of axe, browser"));
}
