//! The imports of a source file.

/// The text without comments, without test code, and without `in` paths of visibility.
pub(super) fn code(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = shipped.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n").replace("(in crate::", "(in ")
}

/// All paths of this crate that the code names, from the root of the crate, with `use` lists expanded.
pub(super) fn imports(code: &str, place: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$') {
            unfold(&mut Cursor(&code[at + "crate::".len()..]), "", &mut found);
        }
    }
    // `super::super::…` may leave its module, too.
    let up = "super::".repeat(place.len());
    for (at, _) in code.match_indices(&up) {
        let after = &code[at + up.len()..];
        if !code[..at].ends_with("::") && !after.starts_with("super::") {
            unfold(&mut Cursor(after), "", &mut found);
        }
    }
    found
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn word(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        self.0 = &text[end..];
        &text[..end]
    }
}

/// Reads one tree of paths, such as `a::{b, c::d}`.
fn unfold(cursor: &mut Cursor<'_>, path: &str, found: &mut Vec<String>) {
    let join = |word: &str| if path.is_empty() { word.to_owned() } else { format!("{path}::{word}") };
    if cursor.eat("{") {
        while !cursor.eat("}") && !cursor.0.is_empty() {
            unfold(cursor, path, found);
            if cursor.eat("as ") {
                cursor.word();
            }
            if !cursor.eat(",") && !cursor.0.trim_start().starts_with('}') {
                return;
            }
        }
        return;
    }
    let word = cursor.word();
    let next = if word.is_empty() || word == "self" { path.to_owned() } else { join(word) };
    // `path::<T>` and `path::*` end the path.
    let goes_on = cursor
        .0
        .strip_prefix("::")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_alphabetic() || c == '{' || c == '_'));
    if !word.is_empty() && goes_on {
        cursor.eat("::");
        unfold(cursor, &next, found);
    } else {
        cursor.eat("::*");
        found.push(next);
    }
}
