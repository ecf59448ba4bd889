//! The page as people use it, in a real browser.

mod awkward;
mod driver;
mod everyone;
mod jobs;
mod restart;
mod search;
mod stores;

pub(crate) use driver::Browser;
