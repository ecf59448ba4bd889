//! What a valid token states about its user.

use serde_json::Value;

use super::{ClaimPath, TokenError};

/// Maximum number of characters of the name of a user. OpenID Connect allows 255 for `sub`.
const MAX_NAME: usize = 255;
/// Maximum number of groups that are compared with the settings.
const MAX_GROUPS: usize = 1_000;

/// Returns the name of the user for logs. It is refused, and not shortened, if it cannot be shown as one line: two users must
/// not have the same name.
pub(super) fn name<'a>(claims: &'a Value, path: &ClaimPath) -> Result<&'a str, TokenError> {
    let invalid =
        |problem: &str| Err(TokenError::invalid(format!("its claim `{path}`, the name of the user, {problem}")));
    let Some(name) = path.find(claims).and_then(Value::as_str).map(str::trim).filter(|name| !name.is_empty()) else {
        return invalid("is missing or empty, or is not a text");
    };
    if name.chars().count() > MAX_NAME {
        return invalid(&format!("has more than {MAX_NAME} characters"));
    }
    if name.chars().any(|c| c.is_control() || is_direction(c)) {
        return invalid("has control characters");
    }
    Ok(name)
}

/// Whether the character changes the direction of the text around it, which makes a line of a log misleading.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
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
        let path: ClaimPath = "sub".to_owned().try_into().unwrap();
        let name = |subject: Value| name(&json!({"sub": subject}), &path).map(str::to_owned);
        assert_eq!(name(json!(" ann ")).unwrap(), "ann");
        for wrong in [json!("a\nb"), json!("\u{202E}nna"), json!("x".repeat(MAX_NAME + 1)), json!(" \n"), json!(7)] {
            assert!(name(wrong.clone()).unwrap_err().to_string().contains("claim `sub`"), "{wrong}");
        }
        assert!(name(json!("ж".repeat(MAX_NAME))).is_ok());
    }
}
