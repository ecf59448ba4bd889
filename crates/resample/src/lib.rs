//! Resizes images of three channels.
//!
//! The functions are not generic, so that they are compiled here, optimised, and not in the crate that calls them.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8x3, U16x3};
use fast_image_resize::{PixelTrait, ResizeError, ResizeOptions, Resizer};

/// A pixel of an image that can be resized.
pub trait Resample: PixelTrait {
    /// Resizes an image to `(width, height)`.
    ///
    /// # Errors
    /// If the options describe a part that is not in the image.
    fn resample(
        source: &TypedImageRef<'_, Self>,
        size: (u32, u32),
        options: &ResizeOptions,
    ) -> Result<TypedImage<'static, Self>, ResizeError>;
}

macro_rules! resample {
    ($pixel:ty) => {
        impl Resample for $pixel {
            fn resample(
                source: &TypedImageRef<'_, Self>,
                (width, height): (u32, u32),
                options: &ResizeOptions,
            ) -> Result<TypedImage<'static, Self>, ResizeError> {
                let mut resized = TypedImage::new(width, height);
                Resizer::new().resize_typed(source, &mut resized, options)?;
                Ok(resized)
            }
        }
    };
}

resample!(U8x3);
resample!(U16x3);
