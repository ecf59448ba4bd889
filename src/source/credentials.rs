//! The credentials that sign requests to the service of a bucket.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An access key and its secret. `Debug` does not print the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Credentials {
    /// `S3_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `S3_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
}

/// Only one of the two settings is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY belong together: {0} is missing")]
pub struct HalfCredentials(&'static str);

impl S3Credentials {
    /// Returns the credentials from two settings. An empty setting counts as unset.
    ///
    /// # Errors
    /// Returns [`HalfCredentials`] if only one of them is set.
    pub fn from_parts(id: Option<String>, secret: Option<String>) -> Result<Option<Self>, HalfCredentials> {
        let set = |part: Option<String>| part.filter(|text| !text.is_empty());
        match (set(id), set(secret)) {
            (Some(access_key_id), Some(secret_access_key)) => Ok(Some(Self { access_key_id, secret_access_key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(HalfCredentials("S3_SECRET_ACCESS_KEY")),
            (None, Some(_)) => Err(HalfCredentials("S3_ACCESS_KEY_ID")),
        }
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_setting_without_the_other_is_refused() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(S3Credentials::from_parts(None, some("")).unwrap(), None);
        let error = S3Credentials::from_parts(some("id"), some("")).unwrap_err();
        assert!(error.to_string().ends_with("S3_SECRET_ACCESS_KEY is missing"));
        S3Credentials::from_parts(None, some("secret")).unwrap_err();
    }

    #[test]
    fn debug_output_does_not_contain_the_secret() {
        let pair = S3Credentials::from_parts(Some("id".to_owned()), Some("hidden".to_owned())).unwrap().unwrap();
        assert!(!format!("{pair:?}").contains("hidden"));
    }
}
