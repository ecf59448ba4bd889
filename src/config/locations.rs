//! Where things are: the data folder and the address of the service.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::Endpoint;

/// Where the service stores its data, and where its clients find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LocationSettings {
    /// `GLIMPSE_DATA_DIR`: the folder of the ledger, the embedded index and the embedded bucket; `./data` by default.
    pub glimpse_data_dir: PathBuf,
    /// `GLIMPSE_URL`: where the commands that are clients find the service; empty (default): at `GLIMPSE_ADDR`.
    pub glimpse_url: Option<Endpoint>,
    /// `GLIMPSE_CA_FILE`: a PEM file with certificates that clients trust in addition to those of the operating system: the
    /// commands and workers as clients of the service, and the service as a client of `GLIMPSE_JWKS_URL`; empty (default): none.
    pub glimpse_ca_file: Option<PathBuf>,
}

impl Default for LocationSettings {
    fn default() -> Self {
        Self { glimpse_data_dir: "./data".into(), glimpse_url: None, glimpse_ca_file: None }
    }
}
