//! Tests of the definition of the command line.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::parse_arguments(line.split(' '))
}

#[test]
fn the_definition_of_the_command_line_is_valid() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_of_each_command_has_an_example() {
    let mut commands = vec![("glimpse".to_owned(), Cli::command())];
    while let Some((path, command)) = commands.pop() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let subcommands: Vec<_> = command.get_subcommands().cloned().collect();
        let example = if path == "glimpse" { "glimpse demo".to_owned() } else { path.clone() };
        assert!(help.contains("Examples:\n") && help.contains(&example), "{path}: {help}");
        commands.extend(subcommands.into_iter().map(|command| (format!("{path} {}", command.get_name()), command)));
    }
}

#[test]
fn wrong_numbers_are_refused_with_the_allowed_range() {
    for (line, expected) in [
        ("glimpse search a --limit abc", "from 1 to 100"),
        ("glimpse search a --limit 0", "from 1 to 100"),
        ("glimpse search a --limit -1", "from 1 to 100"),
        ("glimpse search a --offset 10000", "from 0 to 9999"),
        ("glimpse search a --min-score 2", "from -1 to 1"),
        ("glimpse search a --min-relevance 2", "from 0 to 1"),
        ("glimpse search a --min-width -3", "from 0 to 4294967295"),
        ("glimpse jobs list --limit 101", "from 1 to 100"),
        ("glimpse images list --limit 0", "from 1 to 100"),
        ("glimpse collections facets format --limit 1001", "from 1 to 1000"),
        ("glimpse jobs failures 1 --limit -1", "from 1 to 1000"),
        ("glimpse jobs logs 1 --cursor -1", "from 0 to 9007199254740991"),
        ("glimpse jobs prune --keep x", "from 0 to 9007199254740991"),
        ("glimpse ingest --max-items 0", "from 1 to 9007199254740991"),
        ("glimpse ingest --sync --max-delete-percent 101", "from 0 to 100"),
        ("glimpse ingest --max-failures 101%", "from 0% to 100%"),
        ("glimpse ingest --max-failures -1", "from 0% to 100%"),
        ("glimpse verify --sample 1000001", "from 0 to 1000000"),
        ("glimpse backup d --keep 0", "from 1 to 100000"),
        ("glimpse import birds f --skip -1", "from 0 to 9007199254740991"),
        ("glimpse eval --queries q --at 0", "from 1 to 100"),
        ("glimpse collections drop-generation birds x", "`x` must be the number of a generation, such as 2"),
        ("glimpse collections drop-generation birds -1", "`-1` must be the number of a generation, such as 2"),
        ("glimpse collections switch birds --generation 0", "`0` must be the number of a generation, such as 2"),
        ("glimpse export birds f --generation 1.5", "`1.5` must be the number of a generation, such as 2"),
        ("glimpse search a --generation x", "`x` must be the number of a generation, such as 2"),
        ("glimpse eval --queries q --generation x", "`x` must be the number of a generation, such as 2"),
        ("glimpse eval --queries q --against generation=x", "`x` must be the number of a generation, such as 2"),
        ("glimpse seed --count -1", "from 1 to 9007199254740991"),
        ("glimpse clip --addr x", "IP:PORT"),
    ] {
        let refused = parse(line).unwrap_err();
        assert!(refused.exit_code() == 2 && refused.to_string().contains(expected), "{line}: {refused}");
    }
}

#[test]
fn an_address_is_refused_in_place_of_a_path() {
    for line in [
        "glimpse import birds S3://b/birds.parquet",
        "glimpse export birds s3://b/birds.parquet",
        "glimpse export birds S3:/b/birds.parquet",
        "glimpse add s3://b/cat.jpg",
        "glimpse add --watch S3://b/images",
        "glimpse seed --from s3://b/images",
        "glimpse embed --file https://h/cat.jpg",
        "glimpse search --file HTTPS://h/cat.jpg",
        "glimpse images original s3://b/cat.jpg --output S3://b/copy.jpg",
        "glimpse eval --queries s3://b/q.json",
        "glimpse eval --queries q --html s3://b/page.html",
        "glimpse eval --queries q.csv --annotations s3://b/a.csv",
        "glimpse eval --calibrate s3://b/q.json",
    ] {
        let refused = parse(line).unwrap_err();
        let message = refused.to_string();
        assert!(refused.exit_code() == 2 && message.contains("of this machine, not an address"), "{line}: {message}");
    }
    for line in ["glimpse export birds ./s3:/b.parquet", "glimpse add C:/cat.jpg", "glimpse export birds -"] {
        parse(line).unwrap();
    }
}

#[test]
fn contradicting_and_missing_options_are_refused() {
    for line in [
        "glimpse search",
        "glimpse jobs",
        "glimpse jobs logs",
        "glimpse jobs logs 1 --follow --json",
        "glimpse jobs move 1 elsewhere",
        "glimpse jobs prune",
        "glimpse images thumbnail s3://b/cat.jpg",
        "glimpse images show cat.jpg",
        "glimpse collections drop",
        "glimpse collections duplicates --kind same",
        "glimpse eval",
        "glimpse eval --queries q --at 0",
        "glimpse eval --queries q --at 1,101",
        "glimpse eval --queries q --calibrate c",
        "glimpse eval --calibrate c --html page.html",
        "glimpse eval --queries q --against birds",
        "glimpse eval --queries q --map train/",
        "glimpse seed --from d --count 3",
        "glimpse keys add ci --role root",
        "glimpse backup",
        "glimpse backup list",
        "glimpse backup --keep 2 list d",
        "glimpse restore",
        "glimpse restore d --at yesterday",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
    for line in [
        "glimpse search cat",
        "glimpse search --file f cat",
        "glimpse search --like s3://b/cat.jpg --min-score -0.5 --offset 10",
        "glimpse jobs list",
        "glimpse keys add ci --role write --expires 30d",
        "glimpse jobs failures 1 --limit 3",
        "glimpse collections drop birds --yes",
        "glimpse eval --queries q --by category --against collection=birds --html page.html --map train/=",
        "glimpse eval --calibrate c --collection birds",
        "glimpse eval --reset-calibration",
        "glimpse backup d --without-objects --keep 3",
        "glimpse backup list d --json",
        "glimpse restore d --check --at 2026-01-31T12:00:00Z",
    ] {
        parse(line).unwrap();
    }
}

#[test]
fn the_flags_of_version_0_1_are_refused_with_the_subcommand() {
    const ID: &str = "019b8d36-0000-7000-8000-000000000000";
    for (line, expected) in [
        (format!("glimpse jobs {ID}"), "glimpse jobs show ID"),
        (format!("glimpse jobs {ID} --json"), "glimpse jobs show ID"),
        (format!("glimpse jobs {ID} --follow"), "glimpse jobs show ID --follow"),
        (format!("glimpse jobs --logs {ID}"), "glimpse jobs logs ID"),
        (format!("glimpse jobs {ID} --failures"), "glimpse jobs failures ID"),
        (format!("glimpse jobs {ID} --stop"), "glimpse jobs stop ID"),
        (format!("glimpse jobs {ID} --retry"), "glimpse jobs retry ID"),
        (format!("glimpse jobs {ID} --move=local"), "glimpse jobs move ID EXECUTOR"),
        ("glimpse jobs --prune --keep 2".to_owned(), "glimpse jobs prune --keep N"),
    ] {
        let refused = parse(&line).unwrap_err();
        let message = refused.to_string();
        assert!(refused.exit_code() == 2 && message.contains(&format!("tip: use `{expected}`")), "{message}");
    }
}
