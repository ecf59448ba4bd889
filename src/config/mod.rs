//! The settings of all modules, read from environment variables. An empty variable counts as unset.

mod former_names;
mod place;
mod secret_files;
mod unknown;
mod variables;

use std::collections::BTreeSet;

use serde::Serialize;

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

pub use place::PlaceSettings;

use variables::Variables;

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
        Self::from_variables(environment()?)
    }

    /// Reads and checks the settings from these variables.
    ///
    /// # Errors
    /// [`SettingsError`] that names every invalid setting.
    pub fn from_variables<N: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingsError> {
        let variables = variables.into_iter().map(|(name, value)| (name.into().to_lowercase(), value.into()));
        let mut variables: Variables = variables.filter(|(_, value)| !value.is_empty()).collect();
        let mut errors = Vec::new();
        let renamed = former_names::replace(&mut variables);
        secret_files::read(&mut variables, &mut errors);
        let settings = Self::read(&variables, &mut errors).map_err(|error| SettingsError(error.to_string()))?;
        if errors.is_empty() {
            settings.validate()?;
            return Ok(settings);
        }
        errors.extend(renamed);
        Err(SettingsError(errors.join("; ")))
    }

    fn read(variables: &Variables, errors: &mut Vec<String>) -> Result<Self, serde::de::value::Error> {
        Ok(Self {
            place: variables::read(variables, errors)?,
            api: variables::read(variables, errors)?,
            source: variables::read(variables, errors)?,
            embed: variables::read(variables, errors)?,
            hub: variables::read(variables, errors)?,
            imaging: variables::read(variables, errors)?,
            images: variables::read(variables, errors)?,
            index: variables::read(variables, errors)?,
            pipeline: variables::read(variables, errors)?,
            jobs: variables::read(variables, errors)?,
            ray: variables::read(variables, errors)?,
            telemetry: variables::read(variables, errors)?,
        })
    }

    /// Checks what a single value cannot show: settings that contradict each other.
    ///
    /// # Errors
    /// [`SettingsError`] that names every invalid setting.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let checks = [self.api.validate(), self.source.validate(), self.embed.validate(), self.hub.validate()];
        let errors: Vec<String> = checks.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(()) } else { Err(SettingsError(errors.join("; "))) }
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
                let text = match value {
                    serde_json::Value::Null => String::new(),
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                variables.push((name.to_uppercase(), text));
            }
        }
        variables
    }
}

/// Returns a warning for each variable of this process that has no effect because it is misspelt, and for each former name.
pub fn warnings() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut warnings = unknown::warnings(names);
    let variables = environment().unwrap_or_default().into_iter();
    let mut variables =
        variables.filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_lowercase(), value)).collect();
    warnings.extend(former_names::replace(&mut variables));
    warnings
}

/// Returns the names of all variables that are read.
fn names() -> BTreeSet<String> {
    let defaults = Settings::defaults().into_iter().map(|(name, _)| name);
    defaults.chain(secret_files::names()).chain(former_names::names().map(str::to_owned)).collect()
}

/// Returns the variables of this process that are settings. Others may have any content, such as a `PWD` that is not UTF-8.
fn environment() -> Result<Vec<(String, String)>, SettingsError> {
    let names = names();
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str()?.to_uppercase();
        names.contains(&name).then_some((name, value))
    });
    let text = |(name, value): (String, std::ffi::OsString)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(SettingsError(format!("{name} is not UTF-8 text"))),
    };
    variables.map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Endpoint;

    fn error_of(pairs: &[(&str, &str)]) -> String {
        Settings::from_variables(pairs.iter().copied()).unwrap_err().to_string()
    }

    #[test]
    fn without_variables_everything_is_embedded() {
        let settings = Settings::from_variables([("UNRELATED", "1"), ("S3_BUCKET", "")]).unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.source.s3_endpoint, Endpoint::Embedded);
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
        assert_eq!(settings.source.s3_endpoint, Endpoint::Url("http://minio:9000".to_owned()));
        assert!(!settings.source.s3_path_style);
        assert_eq!(settings.imaging.limits().max_bytes, 7 * 1024 * 1024);
        assert_eq!(settings.api.keys().len(), 2);
        assert_eq!(settings.place.glimpse_data_dir, std::path::Path::new("/var/lib/glimpse"));
    }

    #[test]
    fn every_invalid_setting_is_named() {
        for (name, value, allowed) in [
            ("IMAGE_EMBED_BATCH_SIZE", "many", "between 1 and 1024"),
            ("IMAGE_BATCH_SIZE", "0", "between 1 and 10000"),
            ("GLIMPSE_LEASE_SECONDS", "3601", "between 1 and 3600"),
            ("GLIMPSE_MEMORY_MB", "-1", "between 16 and 1048576"),
            ("GLIMPSE_ADDR", "localhost", "IP:PORT"),
            ("GLIMPSE_CORS_ORIGINS", "https://a.example,*", "every website"),
            ("GLIMPSE_PUBLIC_URL", "photos", "scheme://host"),
            ("GLIMPSE_RESUME", "maybe", "`true` or `false`"),
            ("GLIMPSE_S3_ADDR", "9100", "IP:PORT"),
            ("GLIMPSE_LOG", "inof", "info"),
            ("GLIMPSE_LOG_FORMAT", "xml", "`pretty` or `json`"),
            ("IMAGE_EMBEDDING_PROVIDER", "torch", "`multi2vec`"),
            ("CLIP_PRECISION", "fp8", "int8"),
            ("IMAGE_RESIZE", "squash", "`crop` or `pad`"),
            ("IMAGE_PAD_COLOR", "red", "RRGGBB"),
            ("IMAGE_TARGET_SIZE", "8", "between 16 and 2048"),
            ("S3_BUCKET", "a/b", "without `/`"),
            ("S3_EXCLUDE", "[", "`[`"),
            ("S3_REQUEST_PAYER", "me", "`requester`"),
            ("VECTOR_DB_PROVIDER", "pinecone", "`weaviate`"),
        ] {
            let error = error_of(&[(name, value)]);
            assert!(error.starts_with(&format!("settings: {name} is `{value}`; ")), "{error}");
            assert!(error.contains(allowed), "{error}");
        }
        let both = error_of(&[("S3_ENDPOINT", "minio"), ("VECTOR_DB_COLLECTION", "1x")]);
        assert!(both.contains("S3_ENDPOINT") && both.contains("VECTOR_DB_COLLECTION"), "{both}");
        let password = error_of(&[("S3_ENDPOINT", "ftp://me:hush@minio")]);
        assert!(password.contains("S3_ENDPOINT") && !password.contains("hush"), "{password}");
        assert!(error_of(&[("S3_ACCESS_KEY_ID", "a")]).contains("S3_SECRET_ACCESS_KEY"));
    }

    #[test]
    fn former_names_are_still_read_and_the_new_name_wins() {
        let settings = Settings::from_variables([("GLIMPSE_LEASE_SIZE", "64"), ("CLIP_MAX_BATCH_SIZE", "4")]).unwrap();
        assert_eq!((settings.jobs.image_batch_size, settings.pipeline.image_embed_batch_size), (64, 4));
        let both = [("glimpse_lease_size", "64"), ("IMAGE_BATCH_SIZE", "5")];
        assert_eq!(Settings::from_variables(both).unwrap().jobs.image_batch_size, 5);
        let error = error_of(&[("GLIMPSE_LEASE_SIZE", "0")]);
        assert!(error.contains("GLIMPSE_LEASE_SIZE is the former name of IMAGE_BATCH_SIZE"), "{error}");
    }

    /// Returns the names of the secrets that are set.
    fn redacted(settings: &Settings) -> Vec<String> {
        let values = serde_json::to_value(settings).unwrap();
        let fields = values.as_object().unwrap().values().flat_map(|part| part.as_object().unwrap());
        fields.filter(|(_, value)| *value == "(redacted)").map(|(name, _)| name.to_uppercase()).collect()
    }

    #[test]
    fn every_secret_is_in_the_list() {
        let names: BTreeSet<String> = Settings::defaults().into_iter().map(|(name, _)| name).collect();
        let set = |name: &String| Variables::from([(name.to_lowercase(), "1".to_owned())]);
        let secrets = names.iter().flat_map(|name| redacted(&Settings::read(&set(name), &mut Vec::new()).unwrap()));
        assert_eq!(secrets.collect::<Vec<_>>(), secret_files::SECRETS);
        let page = include_str!("../../docs/settings.md");
        let missing: Vec<_> = secret_files::names().filter(|name| !page.contains(&format!("`{name}`"))).collect();
        assert_eq!(missing, Vec::<String>::new(), "docs/settings.md does not name them");
        let missing: Vec<_> = former_names::names().filter(|name| !page.contains(&format!("| `{name}` |"))).collect();
        assert_eq!(missing, Vec::<&str>::new(), "docs/settings.md does not name them");
    }

    #[test]
    fn every_secret_can_be_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let file = path.to_str().unwrap();
        std::fs::write(&path, "hush\r\n").unwrap();
        for name in secret_files::SECRETS {
            let named = format!("{name}_FILE");
            let key_id = if name.starts_with("S3_") { "id" } else { "" };
            let settings = Settings::from_variables([(&*named, file), ("S3_ACCESS_KEY_ID", key_id)]).unwrap();
            assert_eq!(redacted(&settings), [name]);
            let both = error_of(&[(name, "a"), (&named, file)]);
            assert!(both.contains(&format!("{name} and {named} are both set")), "{both}");
            let missing = error_of(&[(&named, "/missing/file")]);
            assert!(missing.contains(&format!("{named} is `/missing/file`, which")), "{missing}");
            assert!(missing.contains("No such file"), "{missing}");
        }
        let settings = Settings::from_variables([("GLIMPSE_API_KEY_FILE", file)]).unwrap();
        assert_eq!(settings.api.glimpse_api_key.reveal(), "hush");
        std::fs::write(&path, "\n").unwrap();
        assert!(error_of(&[("GLIMPSE_API_KEY_FILE", file)]).contains("is empty"));
    }

    #[test]
    fn secrets_are_redacted_in_output() {
        let pairs = [("GLIMPSE_API_KEY", "hush1"), ("S3_ACCESS_KEY_ID", "id"), ("S3_SECRET_ACCESS_KEY", "hush2")];
        let settings = Settings::from_variables(pairs).unwrap();
        let printed = format!("{settings:?}{}", serde_json::to_string(&settings).unwrap());
        assert!(!printed.contains("hush"), "{printed}");
    }
}
