//! The settings that are written down are the settings that there are.

use std::collections::BTreeMap;

use glimpse::config::Settings;

const README: &str = include_str!("../../README.md");
const ENV: &str = include_str!("../../.env.local");

/// Rows of the table whose head is `| Variable | Default | Meaning |`.
fn table() -> BTreeMap<String, String> {
    let rows = README.lines().skip_while(|line| !line.starts_with("| Variable | Default |")).skip(2);
    let plain = |cell: &str| cell.trim().trim_matches('`').to_owned();
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            assert_eq!(cells.len(), 5, "three cells: {line}");
            assert!(!cells[3].trim().is_empty(), "a meaning: {line}");
            (plain(cells[1]), plain(cells[2]))
        })
        .collect()
}

#[test]
fn the_readme_has_every_variable_with_its_default() {
    let defaults: BTreeMap<_, _> = Settings::defaults().into_iter().collect();
    assert_eq!(table(), defaults);
}

#[test]
fn env_local_names_only_what_there_is() {
    let defaults: BTreeMap<_, _> = Settings::defaults().into_iter().collect();
    for line in ENV.lines().filter(|line| line.contains('=')) {
        let (name, value) = line.trim_start_matches('#').split_once('=').unwrap();
        let default = defaults.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        assert!(!line.starts_with('#') || value == default, "{name} is {default} by default, not {value}");
    }
}
