//! Convolutions of images with SIMD: depthwise, in which each channel is convolved with one or several filters of its
//! own, and dense, which are matrix products. ADR 0019.

mod clip;
mod copy;
mod dense;
mod depthwise;
mod geometry;
mod panel;
mod planes;
mod simd;
mod window;
mod workspace;

pub use clip::Clip;
pub use dense::Dense;
pub use depthwise::{Depthwise, Parameters};
pub use simd::Simd;
pub use window::Window;
pub use workspace::Workspace;
