//! The colours of a HEIC image: the conversion from `YCbCr`, and the space of the result.

use heifer::color::ColorParams;
use heifer::heifer_hevc_dec::nal::NalUnit;
use heifer::heifer_hevc_dec::params::ParameterSets;
use heifer::heifer_hevc_dec::recon::Frame;
use heifer::heifer_isobmff::boxes::{ColorInfo, Property};
use heifer::heifer_isobmff::{HeifFile, ItemId};

use super::item::Item;
use crate::imaging::tone::{Hdr, Transfer};

/// The space of the pixels. The numbers are those of ITU-T H.273.
pub(super) enum ColourSpace<'a> {
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

impl<'a> ColourSpace<'a> {
    /// Reads the space from the item, or else from its first tile, or else from the HEVC header.
    pub(super) fn read(file: &'a HeifFile<'_>, item: &Item) -> Self {
        let ids = [Some(item.id), item.tiles.first().copied()];
        let ids = || ids.into_iter().flatten();
        let coded =
            ids().find_map(|id| coded_in_properties(file, id)).or_else(|| ids().find_map(|id| coded_in_hevc(file, id)));
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
}

/// Returns how the samples of a tile become RGB: by its `colr` property, or else by the HEVC header.
pub(super) fn conversion(file: &HeifFile<'_>, tile: ItemId, frame: &Frame) -> ColorParams {
    let declared = find(file, tile, |property| match property {
        Property::Color(ColorInfo::Nclx { matrix, full_range, .. }) => {
            Some(ColorParams { matrix: *matrix, full_range: *full_range })
        }
        _ => None,
    });
    declared.unwrap_or_else(|| ColorParams::from_frame(frame))
}

fn find<'a, T>(file: &'a HeifFile<'_>, id: ItemId, read: impl Fn(&'a Property) -> Option<T>) -> Option<T> {
    file.item_properties(id).ok()?.find_map(read)
}

/// `HeifFile::icc_profile` is not used: it does not end if images are derived from each other.
fn icc<'a>(file: &'a HeifFile<'_>, id: ItemId) -> Option<&'a [u8]> {
    find(file, id, |property| match property {
        Property::Color(ColorInfo::Icc(icc)) if !icc.is_empty() => Some(icc.as_slice()),
        _ => None,
    })
}

/// Returns the primaries and the transfer characteristics.
fn coded_in_properties(file: &HeifFile<'_>, id: ItemId) -> Option<(u16, u16)> {
    const NOT_SPECIFIED: u16 = 2;
    find(file, id, |property| match property {
        Property::Color(ColorInfo::Nclx { primaries, transfer, .. }) if *transfer != NOT_SPECIFIED => {
            Some((*primaries, *transfer))
        }
        _ => None,
    })
}

fn coded_in_hevc(file: &HeifFile<'_>, id: ItemId) -> Option<(u16, u16)> {
    const NOT_SPECIFIED: u8 = 2;
    let config = file.hevc_config(id).ok()??;
    let mut sets = ParameterSets::default();
    for unit in &config.nal_units {
        sets.add(&NalUnit::parse(unit).ok()?).ok()?;
    }
    let vui = sets.sps.iter().flatten().find_map(|sequence| sequence.vui.as_ref())?;
    (vui.transfer_characteristics != NOT_SPECIFIED)
        .then(|| (vui.colour_primaries.into(), vui.transfer_characteristics.into()))
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
