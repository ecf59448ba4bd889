//! The settings of all modules, read from environment variables. An empty variable counts as unset.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api::ApiSettings;
use crate::embed::EmbedSettings;
use crate::embed::hub::HubSettings;
use crate::images::ImagesSettings;
use crate::imaging::ImagingSettings;
use crate::index::IndexSettings;
use crate::jobs::JobSettings;
use crate::pipeline::PipelineSettings;
use crate::ray::RaySettings;
use crate::source::SourceSettings;
use crate::telemetry::TelemetrySettings;

/// Where the service stores its data, and where its clients find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlaceSettings {
    /// `GLIMPSE_DATA_DIR`: the folder of the ledger, the embedded index and the embedded bucket; `./data` by default.
    pub glimpse_data_dir: PathBuf,
    /// `GLIMPSE_URL`: where the commands that are clients find the service; `http://127.0.0.1:8080` by default.
    pub glimpse_url: String,
}

impl Default for PlaceSettings {
    fn default() -> Self {
        Self { glimpse_data_dir: "./data".into(), glimpse_url: "http://127.0.0.1:8080".to_owned() }
    }
}

/// All settings. Each field has the settings of one module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each field is documented by its type")]
pub struct Settings {
    pub place: PlaceSettings,
    pub api: ApiSettings,
    pub source: SourceSettings,
    pub embed: EmbedSettings,
    pub hub: HubSettings,
    pub imaging: ImagingSettings,
    pub images: ImagesSettings,
    pub index: IndexSettings,
    pub pipeline: PipelineSettings,
    pub jobs: JobSettings,
    pub ray: RaySettings,
    pub telemetry: TelemetrySettings,
}

/// Invalid settings. The message names each variable and what is allowed.
#[derive(Debug, thiserror::Error)]
#[error("settings: {0}")]
pub struct SettingsError(String);

impl Settings {
    /// Reads and checks the settings of this process.
    ///
    /// # Errors
    /// [`SettingsError`] that names every invalid setting.
    pub fn load() -> Result<Self, SettingsError> {
        // Other variables may have any content, such as a `PWD` that is not UTF-8.
        let known: HashSet<String> = Self::defaults().into_iter().map(|(name, _)| name).collect();
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().map(str::to_uppercase).filter(|name| known.contains(name)) else { continue };
            let value = value.into_string().map_err(|_| SettingsError(format!("{name} is not UTF-8 text")))?;
            variables.push((name, value));
        }
        Self::from_variables(variables)
    }

    /// Reads and checks the settings from these variables.
    ///
    /// # Errors
    /// [`SettingsError`] that names every invalid setting.
    pub fn from_variables<N: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingsError> {
        let map = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let environment = config::Environment::default().ignore_empty(true).source(Some(map));
        let variables = config::Config::builder()
            .add_source(environment)
            .build()
            .map_err(|error| SettingsError(error.to_string()))?;
        let settings = Self {
            place: part(&variables)?,
            api: part(&variables)?,
            source: part(&variables)?,
            embed: part(&variables)?,
            hub: part(&variables)?,
            imaging: part(&variables)?,
            images: part(&variables)?,
            index: part(&variables)?,
            pipeline: part(&variables)?,
            jobs: part(&variables)?,
            ray: part(&variables)?,
            telemetry: part(&variables)?,
        };
        settings.validate()?;
        Ok(settings)
    }

    /// Checks the settings, as far as possible without a network call.
    ///
    /// # Errors
    /// [`SettingsError`] that names every invalid setting.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let checks = [
            self.api.validate(),
            self.source.validate(),
            self.embed.validate(),
            self.hub.validate(),
            self.imaging.validate(),
            self.images.validate(),
            self.index.validate(),
            self.pipeline.validate(),
            self.jobs.validate(),
            self.telemetry.validate(),
        ];
        let mut wrong = String::new();
        for problem in checks.into_iter().filter_map(Result::err) {
            write!(wrong, "{}{problem}", if wrong.is_empty() { "" } else { "; " }).ok();
        }
        if wrong.is_empty() { Ok(()) } else { Err(SettingsError(wrong)) }
    }

    /// Returns every variable with its default value as text. A test compares them with the tables in
    /// `docs/settings.md`.
    ///
    /// # Panics
    /// Never: settings are plain data.
    pub fn defaults() -> Vec<(String, String)> {
        let all = serde_json::to_value(Self::default()).expect("settings are plain data");
        let mut variables = Vec::new();
        for part in all.as_object().into_iter().flat_map(serde_json::Map::values) {
            for (name, value) in part.as_object().into_iter().flatten() {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                variables.push((name.to_uppercase(), text));
            }
        }
        variables
    }
}

fn part<T: DeserializeOwned>(variables: &config::Config) -> Result<T, SettingsError> {
    variables.clone().try_deserialize().map_err(|error| {
        let message = match &error {
            config::ConfigError::Type { key: Some(key), unexpected, expected, .. } => {
                format!("{} is {unexpected}; it must be {expected}", key.to_uppercase())
            }
            other => other.to_string(),
        };
        SettingsError(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_variables_everything_is_embedded() {
        let settings = Settings::from_variables([("UNRELATED", "1"), ("S3_BUCKET", "")]).unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.source.s3_endpoint, "embedded");
        assert_eq!(settings.source.s3_bucket, "pipeline");
    }

    #[test]
    fn variables_are_read_into_the_settings_of_their_module() {
        let settings = Settings::from_variables([
            ("S3_ENDPOINT", "http://minio:9000"),
            ("S3_PATH_STYLE", "false"),
            ("IMAGE_MAX_SIZE_MB", "7"),
            ("GLIMPSE_API_KEY", "one,two"),
            ("GLIMPSE_DATA_DIR", "/var/lib/glimpse"),
        ])
        .unwrap();
        assert_eq!(settings.source.s3_endpoint, "http://minio:9000");
        assert!(!settings.source.s3_path_style);
        assert_eq!(settings.imaging.limits().max_bytes, 7 * 1024 * 1024);
        assert_eq!(settings.api.keys().len(), 2);
        assert_eq!(settings.place.glimpse_data_dir, PathBuf::from("/var/lib/glimpse"));
    }

    #[test]
    fn every_invalid_setting_is_named() {
        let error_of = |pairs: &[(&str, &str)]| {
            Settings::from_variables(pairs.iter().map(|(n, v)| (n.to_string(), v.to_string()))).unwrap_err().to_string()
        };
        assert!(error_of(&[("IMAGE_BATCH_SIZE", "many")]).contains("IMAGE_BATCH_SIZE"));
        let both = error_of(&[("S3_ENDPOINT", "minio"), ("VECTOR_DB_COLLECTION", "1x")]);
        assert!(both.contains("S3_ENDPOINT") && both.contains("VECTOR_DB_COLLECTION"), "{both}");
        assert!(error_of(&[("S3_ACCESS_KEY_ID", "a")]).contains("S3_SECRET_ACCESS_KEY"));
    }

    #[test]
    fn secrets_are_redacted_in_output() {
        let pairs = [("GLIMPSE_API_KEY", "hush1"), ("S3_ACCESS_KEY_ID", "id"), ("S3_SECRET_ACCESS_KEY", "hush2")];
        let settings = Settings::from_variables(pairs).unwrap();
        let printed = format!("{settings:?}{}", serde_json::to_string(&settings).unwrap());
        assert!(!printed.contains("hush"), "{printed}");
    }
}
