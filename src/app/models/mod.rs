//! The models of the catalogue, their downloads and checks, for `glimpse models`. Needs no running service.

mod check;
mod measurements;

use std::path::PathBuf;

use serde::Serialize;

use super::BuildError;
use crate::config::Settings;
use crate::embed::EmbedError;
use crate::embed::hub::Outstanding;
use crate::embed::local::{Engine, Source};
use crate::models::{catalogue, restricted_licence};

pub(crate) use crate::models::{CatalogueModel, CommercialUse, Languages, Precision, Recommendation, similar_names};
pub(crate) use check::ModelCheck;
pub(crate) use measurements::Measurement;

use measurements::Measurements;

/// A model of the catalogue and what was measured with it on this machine.
#[derive(Debug, Serialize)]
pub(crate) struct ListedModel {
    #[serde(flatten)]
    pub(crate) model: &'static CatalogueModel,
    /// The latest is the last.
    pub(crate) measured: Vec<Measurement>,
}

/// Returns the catalogue.
pub(crate) fn list(settings: &Settings) -> Vec<ListedModel> {
    let measurements = Measurements::load(settings);
    catalogue().iter().map(|model| ListedModel { model, measured: measurements.of_model(model) }).collect()
}

/// Returns the model with this name or repository; `None` if the catalogue does not have it.
pub(crate) fn show(settings: &Settings, name: &str) -> Option<ListedModel> {
    let model = CatalogueModel::find(name)?;
    Some(ListedModel { model, measured: Measurements::load(settings).of_model(model) })
}

/// A model that can be downloaded.
#[derive(Debug)]
pub(crate) struct Download {
    source: Source,
    /// What the catalogue has about the model.
    pub(crate) known: Option<&'static CatalogueModel>,
    /// The licence, if it forbids commercial use.
    pub(crate) restricted_licence: Option<&'static str>,
    /// What must be downloaded.
    pub(crate) outstanding: Outstanding,
}

impl Download {
    /// Finds out what must be downloaded.
    ///
    /// # Errors
    /// [`BuildError`] if there is no such model, or the hub cannot be used.
    pub(crate) async fn prepare(settings: &Settings, name: &str, precision: Precision) -> Result<Self, BuildError> {
        let source = source(settings, name, precision)?;
        let outstanding = source.outstanding().await?;
        let (known, restricted_licence) = (known(&source, name), licence(&source, name));
        Ok(Self { source, known, restricted_licence, outstanding })
    }

    /// Whether the model is a folder, of which nothing is downloaded.
    pub(crate) fn is_folder(&self) -> bool {
        self.source.is_folder()
    }

    /// Downloads what is missing, checks that the files are those of a model, and returns its folders. The built-in model
    /// has none.
    ///
    /// # Errors
    /// [`EmbedError`] if the hub or the files cannot be used. The next call continues the download.
    pub(crate) async fn run(&self) -> Result<Vec<PathBuf>, EmbedError> {
        self.source.download().await
    }
}

fn source(settings: &Settings, name: &str, precision: Precision) -> Result<Source, BuildError> {
    let source = Source::named(name, precision, &settings.hub)?;
    Ok(source.with_engine(Engine::from_settings(&settings.embed)))
}

/// Returns what the catalogue has about a model. A folder may have the name of a repository and hold another model.
fn known(source: &Source, name: &str) -> Option<&'static CatalogueModel> {
    CatalogueModel::find(name).filter(|_| !source.is_folder())
}

fn licence(source: &Source, name: &str) -> Option<&'static str> {
    restricted_licence(name).filter(|_| !source.is_folder())
}
