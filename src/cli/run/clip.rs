//! `glimpse clip`: serves the model of this binary as a CLIP service, until it is asked to stop.

use std::net::SocketAddr;

use clap::Args;

use crate::app::ClipService;
use crate::cli::values::address;
use crate::cli::{CliError, Ending, out};
use crate::config::Settings;

const NOTES: &str = "\
Examples:
  glimpse clip                                  serve the built-in model at http://127.0.0.1:8000
  CLIP_MODEL=./model glimpse clip --addr 0.0.0.0:8000

The API is that of ai4all/clip: POST /embedding/image and POST /embedding/text; GET / returns the name of the model.
POST /v1/embeddings, GET /v1/models and GET /v1/models/ID are those of OpenAI, with \"modality\": \"image\" for images.
CLIP_MODEL names the model; it is the built-in one by default. Another Glimpse uses this service with
IMAGE_EMBEDDING_PROVIDER=clip and CLIP_URL. The service does not check an API key: choose an address that only its users
can reach.";

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(in crate::cli) struct Clip {
    /// The address to listen on
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8000", value_parser = address)]
    addr: SocketAddr,
}

impl Clip {
    pub(in crate::cli) async fn run(self, settings: Settings) -> Result<Ending, CliError> {
        let (shutdown, _logs) = super::begin(&settings)?;
        let service = ClipService::build(settings, self.addr, &shutdown).await?;
        out::start_lines(service.lines());
        service.serve().await?;
        Ok(Ending::Done)
    }
}
