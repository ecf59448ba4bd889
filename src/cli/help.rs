//! The ends of the help texts.

/// The end of the help of a command that needs a running service.
const SERVICE: &str = "\
The command connects to the service at GLIMPSE_URL (by default at the address of GLIMPSE_ADDR) and sends the first key
of GLIMPSE_API_KEY, if one is set.";

pub(super) fn client_help(examples: &str) -> String {
    format!("{examples}\n\n{SERVICE}")
}

/// Sets the end of the help of a subcommand: the examples of `command` that begin with its name.
pub(super) fn subcommand_help(command: &str, examples: &str, subcommand: clap::Command) -> clap::Command {
    let own = own_examples(command, examples, &subcommand);
    subcommand.after_help(client_help(&own))
}

/// Returns the examples of a subcommand.
pub(super) fn own_examples(command: &str, examples: &str, subcommand: &clap::Command) -> String {
    let begin = format!("  glimpse {command} {} ", subcommand.get_name());
    let own: Vec<&str> = examples.lines().filter(|line| format!("{line} ").starts_with(&begin)).collect();
    format!("Examples:\n{}", own.join("\n"))
}
