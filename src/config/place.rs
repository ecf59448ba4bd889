//! The settings of places: the data folder and the address of the service.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
