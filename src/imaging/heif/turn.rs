//! How the container crops, turns and mirrors an image (`clap`, `irot`, `imir`).

use heifer_isobmff::boxes::Property;
use image::metadata::Orientation;

use super::Coding;
use crate::imaging::ImageError;

/// A part of an image in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crop {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// What happens to the decoded pixels: first the crop, then quarter turns clockwise, then the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) crop: Crop,
    quarters: u8,
    is_mirrored: bool,
}

impl Placement {
    /// Returns the placement of an image without any of these properties.
    pub(crate) fn whole((width, height): (u32, u32)) -> Self {
        Self { crop: Crop { left: 0, top: 0, width, height }, quarters: 0, is_mirrored: false }
    }

    /// Applies a property after the earlier ones. Other properties than the three are ignored.
    pub(super) fn apply(&mut self, property: &Property, coding: Coding) -> Result<(), ImageError> {
        match *property {
            Property::CleanAperture { width, height, horiz_offset, vert_offset } => {
                if self.quarters != 0 || self.is_mirrored {
                    let name = coding.format().name();
                    return Err(ImageError::coding(format!("a {name} image that is turned before it is cropped")));
                }
                let (left, width) = cut(self.crop.width, width, horiz_offset, coding)?;
                let (top, height) = cut(self.crop.height, height, vert_offset, coding)?;
                self.crop = Crop { left: self.crop.left + left, top: self.crop.top + top, width, height };
            }
            // It is anticlockwise in the file. A turn before a mirror has the opposite direction after it.
            Property::Rotation(quarters) => self.turn(if self.is_mirrored { quarters % 4 } else { 4 - quarters % 4 }),
            Property::Mirror(exchanges_top_and_bottom) => {
                self.is_mirrored = !self.is_mirrored;
                if exchanges_top_and_bottom {
                    self.turn(2);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn turn(&mut self, quarters: u8) {
        self.quarters = (self.quarters + quarters) % 4;
    }

    /// Whether the decoded pixels are the image.
    pub(crate) fn is_plain(&self, size: (u32, u32)) -> bool {
        *self == Self::whole(size)
    }

    /// Returns the orientation of the cropped pixels.
    pub(crate) fn orientation(&self) -> Orientation {
        match (self.quarters, self.is_mirrored) {
            (0, false) => Orientation::NoTransforms,
            (1, false) => Orientation::Rotate90,
            (2, false) => Orientation::Rotate180,
            (_, false) => Orientation::Rotate270,
            (0, true) => Orientation::FlipHorizontal,
            (1, true) => Orientation::Rotate90FlipH,
            (2, true) => Orientation::FlipVertical,
            (_, true) => Orientation::Rotate270FlipH,
        }
    }
}

/// Returns the first pixel and the number of pixels of a crop of one side. Its centre is given relative to the centre of
/// the side (ISO/IEC 14496-12, clean aperture). What is outside the image is left out.
fn cut(side: u32, length: (u32, u32), offset: (i32, u32), coding: Coding) -> Result<(u32, u32), ImageError> {
    if length.1 == 0 || offset.1 == 0 {
        return Err(coding.corrupt("its crop has a fraction with a denominator of 0"));
    }
    let length = f64::from(length.0) / f64::from(length.1);
    let centre = f64::from(offset.0) / f64::from(offset.1) + (f64::from(side) - 1.0) / 2.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "limited to the side")]
    let limited = |number: f64| number.round().clamp(0.0, f64::from(side)) as u32;
    let first = limited(centre - (length - 1.0) / 2.0);
    let length = limited(length).min(side - first);
    if length == 0 { Err(coding.corrupt("its crop is empty")) } else { Ok((first, length)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares every order of two turns and mirrors with what `heifer` does to the pixels.
    #[cfg(feature = "heic")]
    #[test]
    fn turns_and_mirrors_are_those_of_heifer() {
        use heifer::Image;

        let image = Image::<u8> {
            width: 3,
            height: 2,
            bit_depth: 8,
            has_alpha: false,
            data: (0..6).flat_map(|number| [number, 0, 0, 255]).collect(),
        };
        let turns = [0, 1, 2, 3].map(Property::Rotation).into_iter();
        let all: Vec<Property> = turns.chain([true, false].map(Property::Mirror)).collect();
        let apply = |image: &Image<u8>, property: &Property| match *property {
            Property::Rotation(quarters) => image.rotate_ccw(quarters),
            Property::Mirror(axis) => image.mirror(axis),
            _ => image.clone(),
        };
        for first in &all {
            for second in &all {
                let mut placement = Placement::whole((3, 2));
                placement.apply(first, Coding::Hevc).unwrap();
                placement.apply(second, Coding::Hevc).unwrap();
                let expected = apply(&apply(&image, first), second);
                let rgba = image::RgbaImage::from_raw(3, 2, image.data.clone()).unwrap();
                let mut ours = image::DynamicImage::ImageRgba8(rgba);
                ours.apply_orientation(placement.orientation());
                assert_eq!(ours.into_rgba8().into_raw(), expected.data, "{first:?}, {second:?}");
            }
        }
    }

    #[test]
    fn a_crop_is_within_the_image() {
        assert_eq!(cut(642, (641, 1), (-1, 2), Coding::Hevc).unwrap(), (0, 641));
        assert_eq!(cut(100, (50, 1), (0, 1), Coding::Hevc).unwrap(), (25, 50));
        assert_eq!(cut(100, (50, 1), (40, 1), Coding::Hevc).unwrap(), (65, 35));
        assert_eq!(cut(100, (4_000_000_000, 1), (i32::MIN, 1), Coding::Hevc).unwrap(), (0, 100));
        assert!(cut(100, (50, 1), (i32::MAX, 1), Coding::Hevc).is_err());
        let refused = |length| cut(100, length, (0, 1), Coding::Hevc).is_err();
        assert!(refused((0, 1)) && refused((1, 0)));
        let crop = Property::CleanAperture { width: (2, 1), height: (2, 1), horiz_offset: (0, 1), vert_offset: (0, 1) };
        let mut turned = Placement::whole((4, 4));
        turned.apply(&Property::Rotation(1), Coding::Hevc).unwrap();
        assert!(turned.apply(&crop, Coding::Hevc).is_err());
        let mut plain = Placement::whole((4, 4));
        plain.apply(&crop, Coding::Hevc).unwrap();
        assert!(!plain.is_plain((4, 4)));
        assert_eq!(plain.crop, Crop { left: 1, top: 1, width: 2, height: 2 });
    }
}
