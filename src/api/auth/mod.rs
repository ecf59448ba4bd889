//! Checks who may use the service.

mod audited;
mod authenticator;
mod cookie;
mod failures;
mod identity;
mod middleware;
mod origin;
mod presented;
mod proxy;
mod proxy_settings;
mod refusal_log;
mod roles;
mod sessions;
mod stream_access;
mod tokens;
mod worker_token;

pub(super) use audited::DISCONNECTED;
pub(super) use authenticator::Authenticator;
pub use cookie::CookieName;
pub(super) use cookie::{COMMON_NAME, SetCookies, session_cookie};
pub(super) use identity::{ClientAddress, Identity, Sender};
pub(super) use middleware::authenticate;
pub(crate) use origin::{Origins, PublicUrl};
pub(super) use presented::bearer_token;
pub(crate) use proxy_settings::{Header, Networks};
pub(super) use refusal_log::{RefusalLog, log_refusals, shortened_path};
pub(super) use roles::{RoleTable, conflicting_route};
pub(super) use sessions::SESSION_TTL;
pub(super) use worker_token::AuthorizedJob;
