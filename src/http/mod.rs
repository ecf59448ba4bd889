//! Outbound HTTP, shared by the clients of embedding services, Weaviate, Ray, the model hub and this service: base
//! addresses, keys, bounded replies, `Retry-After`, and what a status means. Does not retry.

mod address;
mod client;
mod reply;
mod retry_after_header;
mod traced;
mod trust;

pub(crate) use address::{bearer, is_this_machine, join};
pub(crate) use client::{HttpError, RestClient, client_builder};
pub(crate) use reply::{
    BodyError, failure_kind, json_error, one_line, parse_json, read_body, read_start, shortened_line,
};
pub(crate) use retry_after_header::{parse_retry_after, retry_after};
pub(crate) use traced::send_traced;
pub(crate) use trust::{is_untrusted, trust_files};
