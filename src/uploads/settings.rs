//! The setting of direct uploads.

use serde::{Deserialize, Serialize};

/// The settings of direct uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UploadsSettings {
    /// `GLIMPSE_UPLOADS`: comma-separated key prefixes that clients may store objects under, `*` for every key, or `off`;
    /// empty (default): every key while only this machine can reach the service (`GLIMPSE_ADDR` is loopback, and
    /// `GLIMPSE_PUBLIC_URL` is not set), `off` otherwise.
    pub glimpse_uploads: UploadsSetting,
}

/// The value of `GLIMPSE_UPLOADS`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum UploadsSetting {
    /// It depends on who can reach the service.
    #[default]
    Unset,
    /// Clients may not store objects.
    Off,
    /// Clients may store objects with these keys.
    Only(AllowedKeys),
}

/// The keys that clients may store objects under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedKeys(Vec<String>);

/// The setting for every key.
const EVERY_KEY: &str = "*";
/// Maximum number of prefixes.
const MAX_PREFIXES: usize = 100;

impl AllowedKeys {
    /// Every key.
    pub fn every_key() -> Self {
        Self(vec![String::new()])
    }

    /// Whether clients may store no object at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object may have this key.
    pub fn contains(&self, key: &str) -> bool {
        self.0.iter().any(|prefix| key.starts_with(prefix))
    }

    /// Returns the prefixes; an empty one for every key.
    pub fn prefixes(&self) -> &[String] {
        &self.0
    }
}

impl UploadsSettings {
    /// Returns the keys that clients may store objects under. `is_local` says whether only this machine can reach the
    /// service.
    pub fn allowed(&self, is_local: bool) -> AllowedKeys {
        match &self.glimpse_uploads {
            UploadsSetting::Unset if is_local => AllowedKeys::every_key(),
            UploadsSetting::Unset | UploadsSetting::Off => AllowedKeys::default(),
            UploadsSetting::Only(keys) => keys.clone(),
        }
    }
}

impl TryFrom<String> for UploadsSetting {
    type Error = String;

    fn try_from(list: String) -> Result<Self, String> {
        let items: Vec<&str> = list.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
        match items[..] {
            [] => return Ok(Self::Unset),
            [word] if is_off(word) => return Ok(Self::Off),
            [EVERY_KEY] => return Ok(Self::Only(AllowedKeys::every_key())),
            _ => {}
        }
        if items.len() > MAX_PREFIXES {
            return Err(format!("it has {} prefixes; at most {MAX_PREFIXES} are allowed", items.len()));
        }
        if let Some(wrong) = items.iter().find(|item| item.contains(EVERY_KEY) || is_off(item)) {
            return Err(format!(
                "it must be `off`, `*` for every key, or comma-separated key prefixes such as `images/`; `{wrong}` is \
                 not a prefix"
            ));
        }
        Ok(Self::Only(AllowedKeys(items.into_iter().map(str::to_owned).collect())))
    }
}

fn is_off(item: &str) -> bool {
    item.eq_ignore_ascii_case("off")
}

impl From<UploadsSetting> for String {
    fn from(setting: UploadsSetting) -> Self {
        match setting {
            UploadsSetting::Unset => Self::new(),
            UploadsSetting::Off => "off".to_owned(),
            UploadsSetting::Only(keys) if keys == AllowedKeys::every_key() => EVERY_KEY.to_owned(),
            UploadsSetting::Only(AllowedKeys(prefixes)) => prefixes.join(","),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str, is_local: bool) -> AllowedKeys {
        let glimpse_uploads = UploadsSetting::try_from(text.to_owned()).unwrap();
        assert_eq!(UploadsSetting::try_from(String::from(glimpse_uploads.clone())).unwrap(), glimpse_uploads);
        UploadsSettings { glimpse_uploads }.allowed(is_local)
    }

    #[test]
    fn the_default_is_every_key_only_while_no_other_machine_reaches_the_service() {
        assert!(allowed("", true).contains("any/key.jpg"));
        assert!(allowed("", false).is_empty());
        for is_local in [true, false] {
            assert!(allowed("off", is_local).is_empty());
            assert!(allowed("*", is_local).contains("any/key.jpg"));
        }
    }

    #[test]
    fn only_keys_with_a_prefix_are_allowed() {
        let keys = allowed("images/, inbox/", false);
        assert!(keys.contains("images/a.jpg") && keys.contains("inbox/x/a.jpg"));
        assert!(!keys.contains("a.jpg") && !keys.contains("other/images/a.jpg"));
    }

    #[test]
    fn what_is_not_a_prefix_is_refused() {
        for wrong in ["images/*", "*,images/", "off,images/", "images/,OFF"] {
            let message = UploadsSetting::try_from(wrong.to_owned()).unwrap_err();
            assert!(message.contains("is not a prefix"), "{wrong}: {message}");
        }
        assert!(UploadsSetting::try_from(vec!["a/"; 101].join(",")).is_err());
    }
}
