//! Fakes of embedding services and of the Hugging Face hub.

pub(crate) mod cheap_clip;
pub(crate) mod embed_services;
pub(crate) mod fixed_reply;
pub(crate) mod hub;
pub(crate) mod sns;
pub(crate) mod sqs;
pub(crate) mod wrong_clip;
