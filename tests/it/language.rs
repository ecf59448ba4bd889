//! The private dialect of early versions does not come back: its words fail this test, which names the word to use.

use std::path::{Path, PathBuf};

/// What must not be written, and what to write instead.
struct Rule {
    pattern: Pattern,
    instead: &'static str,
}

enum Pattern {
    /// A whole word or identifier.
    Word(&'static str),
    /// The beginning of an identifier.
    Prefix(&'static str),
    /// A text, in any case.
    Text(&'static str),
    /// The name of a function.
    Function(&'static str),
    /// "is no X", except "there is no X" and "is no longer".
    IsNo,
}

use Pattern::{Function, IsNo, Prefix, Text, Word};

const fn rule(pattern: Pattern, instead: &'static str) -> Rule {
    Rule { pattern, instead }
}

const RULES: &[Rule] = &[
    rule(Word("Trouble"), "FailureKind, or what it is"),
    rule(Word("trouble"), "failure, or what it is"),
    rule(Word("JobTrouble"), "JobFailure"),
    rule(Word("Blame"), "FailureAttribution"),
    rule(Word("Temper"), "RetryPolicy"),
    rule(Word("Purse"), "ByteBudget"),
    rule(Word("Fate"), "ItemOutcome"),
    rule(Word("Crew"), "RemoteWorkers"),
    rule(Word("Stranger"), "NotJoined"),
    rule(Word("Holders"), "StoreSet"),
    rule(Word("Door"), "Authenticator, or what it is"),
    rule(Word("door"), "auth, connection, or what it is"),
    rule(Word("doors"), "auth, connections, or what they are"),
    rule(Word("picture"), "image"),
    rule(Word("pictures"), "images"),
    rule(Word("photograph"), "image"),
    rule(Word("photographs"), "images"),
    rule(Word("twin"), "possible_copy"),
    rule(Word("twins"), "possible_copies"),
    rule(Word("bury"), "end_leases_of_dead"),
    rule(Word("mend"), "repair"),
    rule(Word("mended"), "repaired"),
    rule(Word("told"), "a verb that says what is done: reported, recorded"),
    rule(Word("said"), "message, client_message"),
    rule(Word("heard"), "a verb that says what is done: received"),
    rule(Word("whoever"), "callers, users, every X that"),
    rule(Word("nobody"), "no X, not"),
    rule(Word("PATIENCE"), "a name that says of what: REQUEST_TIMEOUT"),
    rule(Word("LOOK"), "POLL_INTERVAL"),
    rule(Word("AGAIN"), "RETRY_DELAY"),
    rule(Word("LASTS"), "SESSION_TTL"),
    rule(Prefix("MOST_"), "MAX_"),
    rule(Prefix("LEAST_"), "MIN_"),
    rule(Function("of"), "a verb and an object: parse_range, from_row"),
    rule(Function("with"), "a verb and an object: start_with_settings"),
    rule(Function("has"), "a question with its object: has_thumbnail, contains"),
    rule(Function("asked"), "a verb and an object: if_none_match"),
    rule(Function("around"), "a verb and an object: wrap_call"),
    rule(Function("here"), "a verb and an object: response_headers"),
    rule(Function("sees"), "a verb that says what is done: check_reads_images"),
    rule(Function("hear"), "a verb that says what is done: record_request"),
    rule(IsNo, "is not a X"),
    rule(Text("by commas"), "comma-separated"),
    rule(Text("so many"), "the number, or as many as"),
    rule(Text("the original's"), "iNatInq-compatible, or nothing"),
];

/// Lines that contain such a text are not checked.
const ALLOWED: &[(&str, &str)] = &[
    ("rename = \"twin\"", "field of the worker protocol"),
    ("items.twin", "column of the ledger"),
    ("have, twin", "column of the ledger"),
    ("ADD COLUMN twin", "column of the ledger"),
    ("'no space left' is no value", "a message of a store, as a test has it"),
    ("(was `said`)", "former value of a label"),
    ("rename = \"picture\"", "field of the file with the expected results"),
    ("0004-pictures-on-the-wire.md", "name of a file to which links lead"),
];

#[test]
fn the_code_and_the_documents_are_in_plain_words() {
    let mut found = Vec::new();
    let files = files();
    assert!(files.len() > 300, "{} files", files.len());
    for file in files {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        // Its table shows these words.
        let is_table = |line: &str| file.ends_with("CONTRIBUTING.md") && line.starts_with('|');
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !is_table(line)) {
            for (word, instead) in faults(line) {
                found.push(format!("{}:{number}: `{word}`: write {instead}: {}", file.display(), line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{} lines:\n{}", found.len(), found.join("\n"));
}

#[test]
fn each_rule_finds_its_words_and_no_others() {
    for line in [
        "enum Trouble {",
        "/// Three pictures.",
        "const MOST_KEYS: usize = 1;",
        "pub(super) fn of(key: &str) -> Self {",
        "fn with<T>(value: T) {",
        "// It is no directory.",
        "// Comma-separated, that is separated By Commas.",
        "let said = reply.text();",
    ] {
        assert_eq!(faults(line).count(), 1, "{line}");
    }
    for line in [
        "// There is no directory, and it is no longer needed.",
        "const ALMOST_KEYS: usize = 1;",
        "assert!(text.contains(\"NAME is `/no/such/file`\"));",
        "fn of_status(status: u16) {",
        "fn within(&self) {",
        "let last_said_message = DiskTrouble;",
        "    #[serde(rename = \"twin\")]",
    ] {
        assert_eq!(faults(line).count(), 0, "{line}");
    }
}

/// Returns the banned text of a line, and what to write instead.
fn faults(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let is_allowed = ALLOWED.iter().any(|(text, _)| line.contains(text));
    let rules = if is_allowed { &[] } else { RULES };
    rules.iter().filter_map(|rule| Some((rule.pattern.find(line)?, rule.instead)))
}

impl Pattern {
    fn find(&self, line: &str) -> Option<&'static str> {
        let words = || line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        match *self {
            Word(word) => words().any(|other| other == word).then_some(word),
            Prefix(prefix) => words().any(|other| other.starts_with(prefix)).then_some(prefix),
            Text(text) => line.to_lowercase().contains(text).then_some(text),
            Function(name) => {
                let (_, rest) = line.split_once("fn ")?;
                rest.strip_prefix(name)?.starts_with(['(', '<']).then_some(name)
            }
            IsNo => {
                let all: Vec<&str> = words().filter(|word| !word.is_empty()).collect();
                let is_no = |at: usize| {
                    all.get(at..at + 2) == Some(&["is", "no"])
                        && !matches!(all.get(at + 2), Some(&("longer" | "more")))
                        // Without a word before it, "there" may be at the end of the line above.
                        && at > 0
                        && !all[at - 1].eq_ignore_ascii_case("there")
                };
                (line.contains(" is no ") && (0..all.len()).any(is_no)).then_some("is no")
            }
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files that are checked, relative to the root.
fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from).to_vec();
    let mut folders: Vec<PathBuf> = ["src", "tests", "benches", "docs", "zarf/adr"].map(PathBuf::from).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            let kind = path.extension().and_then(|kind| kind.to_str());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if matches!(kind, Some("rs" | "md" | "js" | "html" | "css")) && !path.ends_with("it/language.rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
