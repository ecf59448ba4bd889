//! `glimpse clip`: the model of this binary as a CLIP service, until it is asked to stop.

use std::net::SocketAddr;

use clap::Args;

use super::{CliError, Ending, out, warn_of_unknown_variables};
use crate::app::ClipService;
use crate::config::Settings;
use crate::shutdown::Shutdown;

const MORE: &str = "\
It speaks as ai4all/clip does: POST /embedding/image, POST /embedding/text; GET / says which model it is. Another Glimpse
uses it with IMAGE_EMBEDDING_PROVIDER=clip and CLIP_URL. It has no key: let it listen only where its users alone can reach it.";

#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub(super) struct Clip {
    /// Where it listens
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8000")]
    addr: SocketAddr,
}

impl Clip {
    pub(super) async fn run(self, settings: Settings) -> Result<Ending, CliError> {
        settings.telemetry.begin();
        warn_of_unknown_variables();
        let shutdown = Shutdown::on_signals().map_err(CliError::Signals)?;
        let service = ClipService::build(settings, self.addr, &shutdown).await?;
        for line in service.lines() {
            out::line(line)?;
        }
        service.serve().await?;
        Ok(Ending::Done)
    }
}
