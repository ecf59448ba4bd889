//! Checks who may use the service.

mod audited;
mod authenticator;
mod failures;
mod identity;
mod origin;
mod proxy;
mod proxy_settings;
mod refusal_log;
mod roles;
mod sessions;
mod worker_token;

pub(super) use authenticator::{Authenticator, authenticate, bearer_token};
pub(super) use identity::{ClientAddress, Identity};
pub(crate) use origin::{Origins, PublicUrl};
pub(crate) use proxy_settings::{GroupRoles, Header, Networks};
pub(super) use refusal_log::{RefusalLog, log_refusals, shortened_path};
pub(super) use roles::RoleTable;
pub(super) use sessions::{COOKIE_NAME, SESSION_TTL, session_cookie};
pub(super) use worker_token::AuthorizedJob;
