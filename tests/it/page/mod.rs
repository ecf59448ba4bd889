//! The page.

pub(crate) mod browser;
mod files;
