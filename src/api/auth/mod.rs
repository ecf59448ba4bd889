//! Checks who may use the service.

mod authenticator;
mod origin;
mod refusal_log;
mod sessions;
mod worker_token;

pub(super) use authenticator::{Authenticator, authenticate, bearer_token};
pub(crate) use origin::{Origin, Origins};
pub(super) use refusal_log::{RefusalLog, log_refusals, shortened_path};
pub(super) use sessions::{COOKIE_NAME, SESSION_TTL, session_cookie};
pub(super) use worker_token::AuthorizedJob;
