//! The process edge: parse, run, print the error chain, exit code.

fn main() {}
