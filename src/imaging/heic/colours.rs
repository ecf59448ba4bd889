//! The colours that the header of HEVC declares.

use heifer::color::ColorParams;
use heifer::heifer_hevc_dec::nal::NalUnit;
use heifer::heifer_hevc_dec::params::ParameterSets;
use heifer::heifer_hevc_dec::recon::Frame;
use heifer_isobmff::{HeifFile, ItemId};

use crate::imaging::heif::colours::{Coded, ColourSpace, NOT_SPECIFIED, matrix};
use crate::imaging::heif::item::Item;

/// Reads the space of the pixels.
pub(super) fn space<'a>(file: &'a HeifFile<'_>, item: &Item) -> ColourSpace<'a> {
    ColourSpace::read(file, item, |id| in_header(file, id))
}

/// Returns how the samples of a tile become RGB: by its `colr` property, or else by the HEVC header.
pub(super) fn conversion(file: &HeifFile<'_>, tile: ItemId, frame: &Frame) -> ColorParams {
    let declared = matrix(file, tile).map(|(matrix, full_range)| ColorParams { matrix, full_range });
    declared.unwrap_or_else(|| ColorParams::from_frame(frame))
}

fn in_header(file: &HeifFile<'_>, id: ItemId) -> Option<Coded> {
    let config = file.hevc_config(id).ok()??;
    let mut sets = ParameterSets::default();
    for unit in &config.nal_units {
        sets.add(&NalUnit::parse(unit).ok()?).ok()?;
    }
    let vui = sets.sps.iter().flatten().find_map(|sequence| sequence.vui.as_ref())?;
    let (primaries, transfer) = (vui.colour_primaries.into(), vui.transfer_characteristics.into());
    (transfer != NOT_SPECIFIED).then_some((primaries, transfer))
}
