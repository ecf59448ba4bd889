//! The space of the pixels of a HEIF image.

use heifer_isobmff::boxes::{ColorInfo, Property};
use heifer_isobmff::{HeifFile, ItemId};
use moxcms::ColorProfile;

use super::find;
use super::item::Item;
use crate::imaging::colour;
use crate::imaging::tone::{Hdr, Transfer};

/// The space of the pixels. The numbers are those of ITU-T H.273.
pub(crate) enum ColourSpace<'a> {
    /// sRGB, or not known.
    Srgb,
    Icc(&'a [u8]),
    Coded {
        primaries: u8,
        transfer: u8,
    },
    /// A space with a brightness far above white, which is mapped to sRGB while the image is decoded.
    Hdr(Hdr),
}

/// Primaries and transfer characteristics.
pub(crate) type Coded = (u16, u16);

/// The number that means that the value is not specified.
pub(crate) const NOT_SPECIFIED: u16 = 2;

impl<'a> ColourSpace<'a> {
    /// Reads the space from the item, or else from its first tile, or else from the header of the coded image, which
    /// `in_header` reads.
    pub(crate) fn read(file: &'a HeifFile<'_>, item: &Item, in_header: impl Fn(ItemId) -> Option<Coded>) -> Self {
        let ids = [Some(item.id), item.tiles.first().copied()];
        let ids = || ids.into_iter().flatten();
        let coded = ids().find_map(|id| coded_in_properties(file, id)).or_else(|| ids().find_map(in_header));
        let transfer = match coded {
            Some((_, 16)) => Some(Transfer::Pq),
            Some((_, 18)) => Some(Transfer::Hlg),
            _ => None,
        };
        if let (Some(transfer), Some((primaries, _))) = (transfer, coded) {
            let max_light = ids().find_map(|id| max_light(file, id));
            return Self::Hdr(Hdr { transfer, primaries, max_light });
        }
        if let Some(icc) = ids().find_map(|id| icc(file, id)) {
            return Self::Icc(icc);
        }
        match coded {
            // Most images have the curve of sRGB, even if they declare that of video.
            Some((primaries, 1 | 6 | 13..=15)) if primaries != 1 => match u8::try_from(primaries) {
                Ok(primaries) => Self::Coded { primaries, transfer: 13 },
                Err(_) => Self::Srgb,
            },
            Some((primaries, transfer @ (4 | 5 | 7 | 8))) => match (u8::try_from(primaries), u8::try_from(transfer)) {
                (Ok(primaries), Ok(transfer)) => Self::Coded { primaries, transfer },
                _ => Self::Srgb,
            },
            _ => Self::Srgb,
        }
    }

    /// Returns the profile of the decoded pixels, or `None` if they are in sRGB.
    pub(crate) fn profile(&self) -> Option<ColorProfile> {
        match *self {
            Self::Icc(icc) => colour::parse(icc),
            Self::Coded { primaries, transfer } => colour::cicp_profile(primaries, transfer),
            Self::Hdr(_) | Self::Srgb => None,
        }
    }

    pub(crate) fn hdr(&self) -> Option<Hdr> {
        match *self {
            Self::Hdr(hdr) => Some(hdr),
            Self::Icc(_) | Self::Coded { .. } | Self::Srgb => None,
        }
    }
}

/// Returns the matrix and whether the samples have the full range, as the `colr` property of an item declares them.
pub(crate) fn matrix(file: &HeifFile<'_>, id: ItemId) -> Option<(u16, bool)> {
    find(file, id, |property| match property {
        Property::Color(ColorInfo::Nclx { matrix, full_range, .. }) => Some((*matrix, *full_range)),
        _ => None,
    })
}

/// `HeifFile::icc_profile` is not used: it does not end if images are derived from each other.
fn icc<'a>(file: &'a HeifFile<'_>, id: ItemId) -> Option<&'a [u8]> {
    find(file, id, |property| match property {
        Property::Color(ColorInfo::Icc(icc)) if !icc.is_empty() => Some(icc.as_slice()),
        _ => None,
    })
}

fn coded_in_properties(file: &HeifFile<'_>, id: ItemId) -> Option<Coded> {
    find(file, id, |property| match property {
        Property::Color(ColorInfo::Nclx { primaries, transfer, .. }) if *transfer != NOT_SPECIFIED => {
            Some((*primaries, *transfer))
        }
        _ => None,
    })
}

/// Returns the light of the brightest pixel in cd/m2, if the file declares it (`clli`).
fn max_light(file: &HeifFile<'_>, id: ItemId) -> Option<u16> {
    find(file, id, |property| match property {
        Property::Unknown(kind, content) if kind.0 == *b"clli" => {
            content.first_chunk().map(|light| u16::from_be_bytes(*light)).filter(|&light| light > 0)
        }
        _ => None,
    })
}
