//! The settings of all modules, read from environment variables. An empty variable counts as unset.

mod former_names;
mod locations;
mod named_providers;
mod secret_files;
mod unknown;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::Serialize;

use crate::api::ApiSettings;
use crate::aws::AwsSettings;
use crate::disk::DiskSettings;
use crate::domain::Endpoint;
use crate::embed::hub::HubSettings;
use crate::embed::{EmbedSettings, NamedProviderSettings};
use crate::images::ImagesSettings;
use crate::imaging::ImagingSettings;
use crate::index::IndexSettings;
use crate::jobs::JobSettings;
use crate::jwt::JwtSettings;
use crate::otlp::OtlpSettings;
use crate::pipeline::PipelineSettings;
use crate::ray::RaySettings;
use crate::server::TlsSettings;
use crate::source::SourceSettings;
use crate::telemetry::TelemetrySettings;
use crate::uploads::UploadsSettings;
use crate::webhooks::WebhookSettings;

pub use locations::LocationSettings;

use variables::Variables;

/// All settings. Each field has the settings of one module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each field is documented by its type")]
pub struct Settings {
    pub locations: LocationSettings,
    pub disk: DiskSettings,
    pub api: ApiSettings,
    pub tls: TlsSettings,
    pub jwt: JwtSettings,
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
    pub otlp: OtlpSettings,
    pub uploads: UploadsSettings,
    pub aws: AwsSettings,
    pub webhooks: WebhookSettings,
    /// The providers with a name (`CLIP_URL_<NAME>`), by their lower-case names.
    #[serde(skip)]
    pub named_providers: BTreeMap<String, NamedProviderSettings>,
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

    /// Reads and checks the settings of a worker. It does not use the settings of Ray, and on a node of a cluster these
    /// variables have other meanings: there, `RAY_ADDRESS` is the address of Ray's own store.
    ///
    /// # Errors
    /// [`SettingsError`] that names every invalid setting.
    pub fn load_for_worker() -> Result<Self, SettingsError> {
        Self::from_variables(environment()?.into_iter().filter(|(name, _)| !name.starts_with("RAY_")))
    }

    /// Reads and checks the settings from these variables.
    ///
    /// # Errors
    /// [`SettingsError`] that names every invalid setting.
    pub fn from_variables<N: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingsError> {
        let mut variables = variables::collect(variables)?;
        let mut errors = Vec::new();
        let renamed = former_names::replace(&mut variables);
        secret_files::read(&mut variables, &mut errors);
        let settings = Self::read(&mut variables, &mut errors).map_err(|error| SettingsError(error.to_string()))?;
        if errors.is_empty() {
            settings.validate()?;
            return Ok(settings);
        }
        errors.extend(renamed);
        Err(SettingsError(errors.join("; ")))
    }

    fn read(variables: &mut Variables, errors: &mut Vec<String>) -> Result<Self, serde::de::value::Error> {
        let named_providers = named_providers::take(variables, errors)?;
        Ok(Self {
            named_providers,
            locations: variables::read(variables, errors)?,
            disk: variables::read(variables, errors)?,
            api: variables::read(variables, errors)?,
            tls: variables::read(variables, errors)?,
            jwt: variables::read(variables, errors)?,
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
            otlp: variables::read(variables, errors)?,
            uploads: variables::read(variables, errors)?,
            aws: variables::read(variables, errors)?,
            webhooks: variables::read(variables, errors)?,
        })
    }

    /// Checks what a single value cannot show: settings that contradict each other.
    ///
    /// # Errors
    /// [`SettingsError`] that names every invalid setting.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let checks = [
            self.api.validate(self.jwt.is_set()),
            self.tls.validate(),
            self.jwt.validate(),
            self.otlp.validate(),
            self.source.validate(),
            self.embed.validate(),
            self.hub.validate(),
            self.index.validate(),
            self.ray.validate(),
        ];
        let errors: Vec<String> = checks.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(()) } else { Err(SettingsError(errors.join("; "))) }
    }

    /// Returns the address at which the commands find the service: `GLIMPSE_URL`, or else that of `GLIMPSE_ADDR`.
    pub fn service_url(&self) -> Endpoint {
        self.locations.glimpse_url.clone().unwrap_or_else(|| self.local_url(self.api.glimpse_addr))
    }

    /// Returns the address at which a process on this machine reaches the service that listens at `addr`.
    pub fn local_url(&self, addr: SocketAddr) -> Endpoint {
        Endpoint::on_this_machine(self.tls.scheme(), addr)
    }

    /// Returns a warning for each setting that is set but has no effect, because another setting selects something else.
    pub fn without_effect(&self) -> Vec<String> {
        let unused = [self.embed.unused(), self.index.unused(), self.webhooks.unused(), self.otlp.unused()].concat();
        let (set, defaults) = (self.values(), Self::defaults());
        let changed = set.into_iter().zip(defaults).filter(|(set, default)| set != default).map(|((name, _), _)| name);
        let changed: BTreeSet<String> = changed.collect();
        let unused = unused.into_iter().filter(|(name, _)| changed.contains(*name));
        unused.map(|(name, reason)| format!("{name} is set but has no effect, because {reason}")).collect()
    }

    /// Returns warnings about settings that are allowed but not safe.
    pub fn cautions(&self) -> Vec<String> {
        [self.webhooks.cautions(), self.otlp.cautions()].concat()
    }

    /// Returns every variable with its default value as text. A test compares them with the tables in
    /// `docs/settings.md`.
    pub fn defaults() -> Vec<(String, String)> {
        Self::default().values()
    }

    fn values(&self) -> Vec<(String, String)> {
        let all = serde_json::to_value(self).expect("settings are plain data");
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
    let mut variables = environment().and_then(variables::collect).unwrap_or_default();
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
        (names.contains(&name) || named_providers::is_variable(&name)).then_some((name, value))
    });
    let text = |(name, value): (String, std::ffi::OsString)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(SettingsError(format!("{name} is not UTF-8 text"))),
    };
    variables.map(text).collect()
}

#[cfg(test)]
mod tests;
