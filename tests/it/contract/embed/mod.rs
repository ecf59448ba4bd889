//! Embedding providers: the contract, and the behaviour of each adapter.

pub(crate) mod clip_tiny;
mod failure;
mod golden;
mod http;
mod hub;
mod peers;
mod served;
mod suite;
mod wrong_replies;
