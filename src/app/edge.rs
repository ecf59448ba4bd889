//! What is between clients and the routes: TLS, API keys, and the tokens of an identity provider.

use std::net::SocketAddr;

use super::BuildError;
use crate::config::Settings;
use crate::domain::InvalidSetting;
use crate::jwt::Tokens;
use crate::keys::{Audit, Keys, KeysError, KeysParts};
use crate::ledger::Ledger;
use crate::server::ServerTls;
use crate::shutdown::Shutdown;

/// Reads the certificate and the keys of tokens, and keeps both up to date.
pub(super) async fn open(settings: &Settings, shutdown: &Shutdown) -> Result<(Option<ServerTls>, Tokens), BuildError> {
    let tls = ServerTls::open(&settings.tls).await?;
    if let Some(tls) = tls.clone() {
        shutdown.spawn("upkeep of the certificate", tls.keep(shutdown.drain()));
    }
    let tokens = Tokens::open(&settings.jwt, settings.locations.glimpse_ca_file.clone()).await?;
    shutdown.spawn("upkeep of the keys of tokens", tokens.clone().keep(shutdown.drain()));
    Ok((tls, tokens))
}

/// Reads the API keys, and keeps them up to date.
pub(super) async fn open_keys(
    settings: &Settings,
    addr: SocketAddr,
    ledger: &Ledger,
    shutdown: &Shutdown,
) -> Result<(Keys, Audit), BuildError> {
    let api = &settings.api;
    let keys = Keys::open(KeysParts {
        ledger: ledger.clone(),
        environment: api.keys(),
        file: api.glimpse_keys_file.clone(),
        user_role: api.proxy_role().max(settings.jwt.highest_role()),
        is_local: api.is_local(addr) && !api.glimpse_allow_anonymous,
    })
    .await
    .map_err(|error| match error {
        KeysError::Ledger(error) => BuildError::Ledger(error),
        error => BuildError::Setting(InvalidSetting(error.to_string())),
    })?;
    shutdown.spawn("upkeep of keys", keys.clone().keep(shutdown.drain()));
    Ok((keys, Audit::new(ledger.clone())))
}
