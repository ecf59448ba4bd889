//! The documents and the code agree: settings, links, and the files that the architecture page names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use glimpse::config::Settings;

const SETTINGS: &str = include_str!("../../docs/settings.md");
const ENV: &str = include_str!("../../.env.local");
const ARCHITECTURE: &str = include_str!("../../docs/architecture.md");
const README: &str = include_str!("../../README.md");
const MAX_README_LINES: usize = 150;

/// The rows of all tables with the head `| Variable | Default | Meaning |`: the default and the meaning of each setting.
fn documented_settings() -> BTreeMap<String, (String, String)> {
    let unquoted = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let mut documented = BTreeMap::new();
    for table in SETTINGS.split("| Variable | Default | Meaning |\n").skip(1) {
        for line in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
            let cells: Vec<&str> = line.split('|').collect();
            assert_eq!(cells.len(), 5, "three cells: {line}");
            assert!(!cells[3].trim().is_empty(), "a meaning: {line}");
            let former = documented.insert(unquoted(cells[1]), (unquoted(cells[2]), unquoted(cells[3])));
            assert_eq!(former, None, "a second row: {line}");
        }
    }
    documented
}

#[test]
fn the_settings_page_has_every_variable_with_its_default() {
    let defaults: BTreeMap<_, _> = Settings::defaults().into_iter().collect();
    let documented = documented_settings().into_iter().map(|(name, (default, _))| (name, default));
    assert_eq!(documented.collect::<BTreeMap<_, _>>(), defaults);
}

#[test]
fn the_settings_page_has_the_range_of_every_number() {
    let mut ranges = 0;
    for (name, (_, meaning)) in documented_settings() {
        let Err(error) = Settings::from_variables([(name.as_str(), "x")]) else { continue };
        let error = error.to_string();
        let Some((_, range)) = error.split_once("must be between ") else { continue };
        let (min, max) = range.split_once(" and ").unwrap();
        assert!(meaning.ends_with(&format!("From {min} to {max}")), "{name}: {error}");
        ranges += 1;
    }
    assert!(ranges > 25, "{ranges} ranges");
}

#[test]
fn env_local_names_only_existing_settings() {
    let defaults: BTreeMap<_, _> = Settings::defaults().into_iter().collect();
    for line in ENV.lines().filter(|line| line.contains('=')) {
        let (name, value) = line.trim_start_matches('#').split_once('=').unwrap();
        let default = defaults.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        assert!(!line.starts_with('#') || value == default, "{name} is {default} by default, not {value}");
    }
}

#[test]
fn the_readme_is_short() {
    let lines = README.lines().count();
    assert!(lines <= MAX_README_LINES, "{lines} lines; move what is longer to docs/");
}

#[test]
fn links_between_pages_lead_to_files_and_headings() {
    let pages = pages();
    assert!(pages.len() > 20, "{pages:?}");
    let mut wrong = Vec::new();
    for page in &pages {
        for link in links(&std::fs::read_to_string(page).unwrap()) {
            let (path, heading) = link.split_once('#').map_or((&*link, None), |(path, heading)| (path, Some(heading)));
            let file = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let found = match heading {
                _ if !file.exists() => false,
                Some(heading) => headings(&std::fs::read_to_string(&file).unwrap()).iter().any(|one| one == heading),
                None => true,
            };
            if !found {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "broken links:\n{}", wrong.join("\n"));
}

#[test]
fn the_architecture_page_names_existing_files() {
    let paths: Vec<&str> = quoted(ARCHITECTURE)
        .filter(|text| ["src/", "tests/", "zarf/"].iter().any(|folder| text.starts_with(folder)))
        .collect();
    assert!(paths.len() > 80, "{paths:?}");
    let missing: Vec<_> = paths.into_iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "docs/architecture.md names files that do not exist: {missing:?}");
}

#[test]
fn the_architecture_page_has_every_module() {
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let documented = ["lib.rs", "main.rs"].contains(&&*name) || ARCHITECTURE.contains(&format!("| `src/{name}` |"));
        assert!(documented, "the module table of docs/architecture.md lacks src/{name}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown page that is written by hand.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "zarf/adr", "models/glimpse-mini-1", "demo"] {
        let files = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(files.filter(|file| file.extension().is_some_and(|extension| extension == "md")));
    }
    pages
}

/// The targets of links and images that are not web addresses, code left out.
fn links(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2).collect::<String>();
    let prose = prose.split('`').step_by(2).collect::<String>();
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).filter(|target| !target.contains("://")).collect()
}

/// The headings of a page, as GitHub writes them into links.
fn headings(text: &str) -> Vec<String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let slug = |title: &str| -> String {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    };
    titles.map(slug).collect()
}

/// The texts between backticks on one line, code blocks left out.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(str::lines).flat_map(|line| line.split('`').skip(1).step_by(2))
}
