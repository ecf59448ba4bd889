//! What a valid token states about its user.

use serde_json::Value;

use super::ClaimPath;

/// Maximum number of characters of the name of a user.
const MAX_NAME: usize = 256;
/// Maximum number of groups that are compared with the settings.
const MAX_GROUPS: usize = 1_000;

/// Returns the claim `sub` as a name for logs: bounded, and without control characters.
pub(super) fn name(claims: &Value) -> Option<String> {
    let subject = claims.get("sub")?.as_str()?;
    let name: String = subject.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Returns the groups of the user: a list, or a single text with groups that are separated by spaces, as in `scope`.
pub(super) fn groups(claims: &Value, path: &ClaimPath) -> Vec<String> {
    match path.find(claims) {
        Some(Value::Array(groups)) => {
            groups.iter().filter_map(Value::as_str).take(MAX_GROUPS).map(str::to_owned).collect()
        }
        Some(Value::String(text)) => text.split(' ').take(MAX_GROUPS).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_found_by_name_by_path_and_in_a_text() {
        let claims = json!({"groups": ["a", 1, "b"], "realm_access": {"roles": ["c"]}, "scope": "d e",
            "https://glimpse.example/roles": ["f"]});
        let groups = |path: &str| groups(&claims, &path.to_owned().try_into().unwrap()).join(",");
        assert_eq!(groups("groups"), "a,b");
        assert_eq!(groups("realm_access.roles"), "c");
        assert_eq!(groups("scope"), "d,e");
        assert_eq!(groups("https://glimpse.example/roles"), "f");
        assert_eq!(groups("realm_access.none") + &groups("groups.a"), "");
    }

    #[test]
    fn a_name_is_one_short_line() {
        let name = |subject: Value| name(&json!({"sub": subject}));
        assert_eq!(name(json!(" ann\n\u{1b}[31m ")).as_deref(), Some("ann[31m"));
        assert_eq!(name(json!("x".repeat(9_000))).unwrap().len(), MAX_NAME);
        assert_eq!((name(json!(" \n")), name(json!(7))), (None, None));
    }
}
