//! Embedding providers: the contract, and what each adapter does besides.

pub(crate) mod clip_tiny;
mod golden;
mod http;
mod hub;
mod lies;
mod peers;
mod suite;
mod trouble;
