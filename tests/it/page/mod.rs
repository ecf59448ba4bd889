//! The page: its files, and its use in a browser.

pub(crate) mod browser;
mod files;
