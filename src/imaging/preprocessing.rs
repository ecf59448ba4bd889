//! How an image is converted to the square input of a model, and the name of each way.

use std::fmt;
use std::str::FromStr;

/// How an image is converted to the square input of the model. Its name is part of the identity of the embedding space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preprocessing {
    /// Side of the square in pixels.
    pub size: u32,
    /// What happens to an image that is not square.
    pub resize: Resize,
    /// How pixels are interpolated.
    pub filter: Filter,
    /// Shorter side in pixels before the centre is cropped; equal to `size` for most models. Only crops use it.
    pub edge: u32,
    /// Which colours the model gets.
    pub colour: InputColour,
}

impl Preprocessing {
    /// Resizes with bicubic interpolation. A crop has the length of the shorter side.
    pub const fn new(size: u32, resize: Resize) -> Self {
        Self { size, resize, filter: Filter::Bicubic, edge: size, colour: InputColour::Reference }
    }

    /// Resizes the shorter side to `size` and crops the centre.
    pub const fn crop(size: u32) -> Self {
        Self::new(size, Resize::Crop)
    }
}

/// Which colours the model gets (`IMAGE_COLOR`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputColour {
    /// Those of the file, as in the reference pipelines, which ignore colour profiles.
    #[default]
    Reference,
    /// Those of sRGB, by the colour profile of the file.
    Srgb,
}

/// What happens to an image that is not square (`IMAGE_RESIZE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side is resized to the side of the square, and both ends of the longer side are cut off. The length
    /// of the longer side is rounded to whole pixels, halves to the even number.
    #[default]
    Crop,
    /// Like `Crop`, but the length of the longer side is rounded down. CLIP was trained with this, and transformers and
    /// torchvision do it. If the two lengths differ, the position of the square differs by half a pixel.
    CropFloor,
    /// Like `CropFloor`, but if the middle of the longer side is between two pixels, the square begins at the even one,
    /// as in torchvision and OpenCLIP. `CropFloor` always takes the first.
    CropEven,
    /// Both sides are resized to the side of the square, without regard to the aspect ratio.
    Squash,
    /// The longer side is resized to the side of the square, and the rest is filled with this RGB colour.
    Pad([u8; 3]),
}

impl Resize {
    /// Returns the name that services send to each other.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::CropFloor => "crop-floor",
            Self::CropEven => "crop-even",
            Self::Squash => "squash",
            Self::Pad(_) => "pad",
        }
    }
}

/// How pixels are interpolated. All filters but `Nearest` are antialiased: they get wider when an image gets smaller, as
/// in Pillow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Copies the nearest pixel.
    Nearest,
    /// Lanczos with three lobes.
    Lanczos,
    /// Linear.
    Bilinear,
    /// The cubic with a = -0.5.
    Bicubic,
    /// The mean of the covered pixels.
    Box,
    /// A Hamming window.
    Hamming,
}

impl Filter {
    /// Every filter, at the position of its number in Pillow.
    const ALL: [(Self, &'static str); 6] = [
        (Self::Nearest, "nearest"),
        (Self::Lanczos, "lanczos"),
        (Self::Bilinear, "bilinear"),
        (Self::Bicubic, "bicubic"),
        (Self::Box, "box"),
        (Self::Hamming, "hamming"),
    ];

    /// Returns the filter with this number in Pillow.
    pub fn from_pillow(number: u64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).map(|(filter, _)| *filter)
    }

    /// Returns the filter with this name, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, own)| own.eq_ignore_ascii_case(name)).map(|(filter, _)| *filter)
    }

    /// Returns the name of the filter.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(filter, _)| *filter == self).map_or("", |(_, name)| name)
    }
}

/// The end of the name if colours are converted to sRGB.
const SRGB_SUFFIX: &str = "-srgb";

/// Writes `crop-224-bicubic-floor`, `crop-224-of-256-bicubic-floor`, `squash-256-bilinear`, `pad-224-bicubic-ffffff`, or one
/// of them with `-srgb` at the end.
impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, edge, .. } = *self;
        let (of, filter) = (if edge == size { String::new() } else { format!("-of-{edge}") }, self.filter.name());
        let srgb = if self.colour == InputColour::Srgb { SRGB_SUFFIX } else { "" };
        match self.resize {
            Resize::Crop => write!(f, "crop-{size}{of}-{filter}{srgb}"),
            Resize::CropFloor => write!(f, "crop-{size}{of}-{filter}-floor{srgb}"),
            Resize::CropEven => write!(f, "crop-{size}{of}-{filter}-even{srgb}"),
            Resize::Squash => write!(f, "squash-{size}-{filter}{srgb}"),
            Resize::Pad([red, green, blue]) => {
                write!(f, "pad-{size}-{filter}-{red:02x}{green:02x}{blue:02x}{srgb}")
            }
        }
    }
}

/// Reads the form that [`Display`](fmt::Display) writes.
impl FromStr for Preprocessing {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (text, colour) = match text.strip_suffix(SRGB_SUFFIX) {
            Some(rest) => (rest, InputColour::Srgb),
            None => (text, InputColour::Reference),
        };
        let mut parts = text.split('-').peekable();
        let kind = parts.next();
        let number = |parts: &mut dyn Iterator<Item = &str>| parts.next().and_then(|part| part.parse().ok()).ok_or(());
        let size = number(&mut parts)?;
        let edge = if parts.next_if_eq(&"of").is_some() { number(&mut parts)? } else { size };
        let filter = parts.next().and_then(Filter::from_name).ok_or(())?;
        let resize = match (kind, parts.next()) {
            (Some("crop"), None) => Resize::Crop,
            (Some("crop"), Some("floor")) => Resize::CropFloor,
            (Some("crop"), Some("even")) => Resize::CropEven,
            (Some("squash"), None) => Resize::Squash,
            (Some("pad"), Some(colour)) => {
                let mut rgb = [0; 3];
                hex::decode_to_slice(colour, &mut rgb).map_err(|_| ())?;
                Resize::Pad(rgb)
            }
            _ => return Err(()),
        };
        let read = Self { size, resize, filter, edge, colour };
        if parts.next().is_none() && edge >= size { Ok(read) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are stored with collections and must not change.
    #[test]
    fn names_are_stable_and_can_be_read() {
        for (preprocessing, name) in [
            (Preprocessing::crop(260), "crop-260-bicubic"),
            (Preprocessing::new(224, Resize::CropFloor), "crop-224-bicubic-floor"),
            (Preprocessing::new(224, Resize::CropEven), "crop-224-bicubic-even"),
            (
                Preprocessing { edge: 256, ..Preprocessing::new(224, Resize::CropFloor) },
                "crop-224-of-256-bicubic-floor",
            ),
            (
                Preprocessing { filter: Filter::Bilinear, ..Preprocessing::new(256, Resize::Squash) },
                "squash-256-bilinear",
            ),
            (Preprocessing::new(260, Resize::Pad([255, 0, 16])), "pad-260-bicubic-ff0010"),
            (Preprocessing { colour: InputColour::Srgb, ..Preprocessing::crop(260) }, "crop-260-bicubic-srgb"),
            (
                Preprocessing { colour: InputColour::Srgb, ..Preprocessing::new(260, Resize::Pad([0; 3])) },
                "pad-260-bicubic-000000-srgb",
            ),
        ] {
            assert_eq!(preprocessing.to_string(), name);
            assert_eq!(name.parse(), Ok(preprocessing));
        }
        for text in [
            "",
            "crop",
            "crop-224",
            "crop-224-cubic",
            "squash-256-bilinear-floor",
            "pad-1-bicubic-ff",
            "crop-9-of-8-box",
            "crop-224-bicubic-srgb-floor",
            "-srgb",
        ] {
            assert_eq!(text.parse::<Preprocessing>(), Err(()), "{text}");
        }
    }

    #[test]
    fn filters_have_the_numbers_of_pillow() {
        let names = (0..7).map(|number| Filter::from_pillow(number).map(Filter::name));
        let expected = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"].map(Some);
        assert_eq!(names.collect::<Vec<_>>(), [&expected[..], &[None]].concat());
    }
}
