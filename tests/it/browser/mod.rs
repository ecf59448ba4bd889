//! The page as people use it, in a real browser.

mod driver;
mod everyone;
mod jobs;
mod search;

pub(crate) use driver::Browser;
