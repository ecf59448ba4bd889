//! Embedding providers: the contract, and the behaviour of each adapter.

pub(crate) mod clip_tiny;
mod golden;
mod http;
mod hub;
mod peers;
mod suite;
mod trouble;
mod wrong_replies;
