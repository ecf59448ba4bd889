//! `glimpse models`: the catalogue of models, their downloads and checks. Needs no running service.

mod catalogue;
mod check;

use clap::{Args, Subcommand};

use super::out::{self, Output};
use super::{CliError, Ending, own_examples};
use crate::app::models::{self, Download, ModelCheck, Precision, similar_names};
use crate::config::Settings;

const EXAMPLES: &str = "\
Examples:
  glimpse models list                                    what there is: size, quality, licence
  glimpse models show siglip2-base-256                   everything that is known about one model
  glimpse models pull siglip2-base-256 --precision int8  download it before the service needs it
  glimpse models check siglip2-base-256                  load it, try both towers, measure it
  glimpse models check ./my-clip

CLIP_MODEL accepts the names of the catalogue, repositories of the Hugging Face hub (organisation/name), and folders.
Downloads go to the cache of the hub (HF_HUB_CACHE, HF_HOME); with HF_HUB_OFFLINE only the cache is used.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_subcommands = |command| {
    let examples = own_examples("models", EXAMPLES, &command);
    command.after_help(examples)
})]
pub(super) struct Models {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the models of the catalogue
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Show what is known about a model
    Show {
        /// The name in the catalogue, or a repository
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Download a model into the cache of the hub, or continue a download
    Pull(Model),
    /// Load a model, probe both towers, and measure recall, speed and memory with the demo images
    Check {
        #[command(flatten)]
        model: Model,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
struct Model {
    /// A name of the catalogue, a repository of the hub (organisation/name), or a folder
    #[arg(value_name = "PATH_OR_NAME")]
    name: String,
    /// The precision of the networks: auto, fp32, fp16, int8 or q4 [default: CLIP_PRECISION]
    #[arg(long, value_name = "PRECISION", value_parser = precision)]
    precision: Option<Precision>,
}

fn precision(text: &str) -> Result<Precision, &'static str> {
    text.to_owned().try_into()
}

impl Models {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        match self.command {
            Command::List { output } => output.value(&models::list(settings), |all| catalogue::list(all))?,
            Command::Show { name, output } => {
                let found = models::show(settings, &name);
                let found = found.ok_or_else(|| CliError::NoModel { similar: similar_names(&name), name })?;
                output.value(&found, catalogue::details)?;
            }
            Command::Pull(model) => {
                let _logs = settings.telemetry.begin();
                model.pull(settings).await?;
            }
            Command::Check { model, output } => {
                let _logs = settings.telemetry.begin();
                let check = Box::pin(ModelCheck::run(settings, &model.name, model.precision(settings))).await?;
                output.value(&check, check::describe)?;
                out::warnings(check.not_stored.as_slice());
            }
        }
        Ok(Ending::Done)
    }
}

impl Model {
    fn precision(&self, settings: &Settings) -> Precision {
        self.precision.unwrap_or(settings.embed.clip_precision)
    }

    /// Prints what is downloaded before it is, because it may be gigabytes.
    async fn pull(&self, settings: &Settings) -> Result<(), CliError> {
        let precision = self.precision(settings);
        let download = Download::prepare(settings, &self.name, precision).await?;
        if let Some(licence) = download.restricted_licence {
            out::warnings(&[format!("the licence of this model does not allow commercial use: {licence}")]);
        }
        match download.outstanding.files {
            0 => {}
            files => {
                let all = download.known.and_then(|known| known.bytes.get(precision));
                let all = all.map_or_else(String::new, |bytes| format!("; the whole model has {}", size(bytes)));
                let bytes = size(download.outstanding.bytes);
                out::line(format!("{files} files with {bytes} are missing{all}"))?;
            }
        }
        let folders = download.run().await.map_err(crate::app::BuildError::from)?;
        if folders.is_empty() {
            return out::line(format!("{} is inside the binary", self.name));
        }
        for folder in &folders {
            let place = folder.display();
            out::line(if download.is_folder() {
                format!(
                    "nothing to download: {place} is a folder and has all files (`glimpse models check` loads them)"
                )
            } else {
                format!("complete in {place}")
            })?;
        }
        let precision = self.precision.map_or_else(String::new, |one| format!("CLIP_PRECISION={one} "));
        out::line(format!("to use it: CLIP_MODEL={} {precision}glimpse serve", self.name))
    }
}

/// Returns a number of bytes in the largest unit that fits.
#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
