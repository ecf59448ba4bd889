//! Finds the token for the hub, like Hugging Face's own tools.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::HubSettings;
use crate::domain::Secret;

/// Maximum bytes of the file; a token has about 40 characters.
const MAX_BYTES: u64 = 4 * 1024;

/// Returns the token of the settings, or else of the stored login. Empty if there is none or the settings disable it.
pub(super) fn token(settings: &HubSettings) -> Secret {
    if settings.hf_hub_disable_implicit_token {
        return Secret::default();
    }
    let set = [&settings.hf_token, &settings.hugging_face_hub_token];
    if let Some(token) = set.into_iter().map(|token| token.reveal().trim()).find(|token| !token.is_empty()) {
        return Secret::new(token);
    }
    let Ok(path) = settings.token_path() else { return Secret::default() };
    match stored(&path) {
        Ok(token) => token,
        Err(error) if error.kind() == io::ErrorKind::NotFound && settings.hf_token_path.is_empty() => Secret::default(),
        Err(error) => {
            tracing::warn!(
                path = %path.display(),
                %error,
                "the stored token of the hub cannot be read; continuing without a token; check HF_TOKEN_PATH"
            );
            Secret::default()
        }
    }
}

fn stored(path: &Path) -> io::Result<Secret> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    let token = text.trim();
    if text.len() as u64 > MAX_BYTES || !is_token(token) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file does not contain a token"));
    }
    Ok(Secret::new(token))
}

/// Whether the text can be part of an HTTP header.
pub(super) fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(home: &Path) -> HubSettings {
        HubSettings { hf_home: home.display().to_string(), ..HubSettings::default() }
    }

    #[test]
    fn the_setting_overrides_the_old_name_which_overrides_the_stored_login() {
        let home = tempfile::tempdir().unwrap();
        let stored = settings(home.path());
        assert!(token(&stored).is_empty());
        std::fs::write(home.path().join("token"), "hf_stored\r\n").unwrap();
        assert_eq!(token(&stored).reveal(), "hf_stored");
        let old = HubSettings { hugging_face_hub_token: Secret::new(" hf_old\n"), ..stored.clone() };
        assert_eq!(token(&old).reveal(), "hf_old");
        let new = HubSettings { hf_token: Secret::new("hf_new"), ..old.clone() };
        assert_eq!(token(&new).reveal(), "hf_new");
        let blank = HubSettings { hf_token: Secret::new("\n"), ..old };
        assert_eq!(token(&blank).reveal(), "hf_old");
        assert!(token(&HubSettings { hf_hub_disable_implicit_token: true, ..new }).is_empty());
    }

    #[test]
    fn an_invalid_token_in_another_file_is_not_sent() {
        let home = tempfile::tempdir().unwrap();
        let token_file = home.path().join("elsewhere");
        let hf_token_path = token_file.display().to_string();
        let settings = HubSettings { hf_token_path, ..settings(home.path()) };
        std::fs::write(home.path().join("token"), "hf_home").unwrap();
        assert!(token(&settings).is_empty());
        for (text, expected) in [("hf_elsewhere\n", "hf_elsewhere"), ("", ""), ("two words", ""), ("hf_\u{e9}", "")] {
            std::fs::write(&token_file, text).unwrap();
            assert_eq!(token(&settings).reveal(), expected, "{text:?}");
        }
        std::fs::write(&token_file, "x".repeat(5_000)).unwrap();
        assert!(token(&settings).is_empty());
        std::fs::remove_file(&token_file).unwrap();
        std::fs::create_dir(&token_file).unwrap();
        assert!(token(&settings).is_empty());
    }
}
