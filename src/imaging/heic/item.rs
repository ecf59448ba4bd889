//! The primary image of a HEIF file: one HEVC image, or a grid of them.

use heifer::heifer_isobmff::boxes::Property;
use heifer::heifer_isobmff::{HeifFile, ItemId};

use super::turn::Placement;
use crate::imaging::ImageError;

/// How deep images can be derived from others.
const MAX_DEPTH: u8 = 4;
/// Maximum side of an image or a tile in pixels. It keeps all products of sides small.
const MAX_SIDE: u32 = 1 << 16;

/// An image of one or several tiles.
pub(super) struct Item {
    pub(super) id: ItemId,
    /// The HEVC images, row by row.
    pub(super) tiles: Vec<ItemId>,
    pub(super) columns: u32,
    /// Width and height of each tile.
    pub(super) tile: (u32, u32),
    /// Width and height of the image before it is cropped.
    pub(super) size: (u32, u32),
    pub(super) placement: Placement,
    /// The image of which the first channel is the opacity.
    pub(super) alpha: Option<Box<Item>>,
    /// Bytes that one sample of every channel of a pixel takes.
    bytes_per_pixel: u64,
}

impl Item {
    /// Reads the primary image.
    pub(super) fn read(bytes: &[u8], file: &HeifFile<'_>) -> Result<Self, ImageError> {
        let mut item = Self::read_item(bytes, file, file.primary_id, 0)?;
        item.alpha = match file.referencing_items(item.id, b"auxl").into_iter().find(|&id| is_alpha(file, id)) {
            Some(id) => {
                let alpha = Self::read_item(bytes, file, id, 0)?;
                if alpha.size.0 < item.size.0 || alpha.size.1 < item.size.1 {
                    return Err(ImageError::coding("a HEIC image with transparency of another size".to_owned()));
                }
                Some(Box::new(alpha))
            }
            None => None,
        };
        Ok(item)
    }

    fn read_item(bytes: &[u8], file: &HeifFile<'_>, id: ItemId, depth: u8) -> Result<Self, ImageError> {
        let error = |error| super::container_error(bytes, &error);
        if depth > MAX_DEPTH {
            return Err(super::corrupt("its images are derived from each other"));
        }
        let kind = file.item(id).map_err(error)?.item_type.0;
        let mut item = match &kind {
            b"hvc1" => Self::coded(bytes, file, id)?,
            b"grid" => Self::grid(bytes, file, id)?,
            b"iden" => match file.referenced_items(id, b"dimg") {
                &[source] => Self::read_item(bytes, file, source, depth + 1)?,
                _ => return Err(super::corrupt("it has a derived image without a source")),
            },
            other => return Err(ImageError::coding(format!("a HEIF image {}", describe(*other)))),
        };
        for property in file.item_properties(id).map_err(error)? {
            item.placement.apply(property)?;
        }
        Ok(item)
    }

    fn coded(bytes: &[u8], file: &HeifFile<'_>, id: ItemId) -> Result<Self, ImageError> {
        let error = |error| super::container_error(bytes, &error);
        let size = file.image_size(id).map_err(error)?.ok_or_else(|| super::corrupt("its image has no size"))?;
        check_size(size)?;
        let config =
            file.hevc_config(id).map_err(error)?.ok_or_else(|| super::corrupt("its image has no HEVC header"))?;
        // The planes with 16 bits per sample, and what the decoder keeps of each block and for its filters (measured).
        let bytes_per_pixel = match config.chroma_format {
            0 => 2 + 4,
            1 => 3 + 5,
            2 => 4 + 7,
            _ => 6 + 9,
        };
        let placement = Placement::whole(size);
        Ok(Self { id, tiles: vec![id], columns: 1, tile: size, size, placement, alpha: None, bytes_per_pixel })
    }

    fn grid(bytes: &[u8], file: &HeifFile<'_>, id: ItemId) -> Result<Self, ImageError> {
        let error = |error| super::container_error(bytes, &error);
        let grid = file.grid(id).map_err(error)?;
        let size = (grid.output_width, grid.output_height);
        check_size(size)?;
        let tiles = file.referenced_items(id, b"dimg").to_vec();
        if tiles.len() != usize::from(grid.rows) * usize::from(grid.columns) {
            return Err(super::corrupt(format!(
                "it has {} tiles, but {} columns and {} rows",
                tiles.len(),
                grid.columns,
                grid.rows
            )));
        }
        let first = *tiles.first().ok_or_else(|| super::corrupt("it has no tiles"))?;
        let mut item = Self::coded(bytes, file, first)?;
        for &tile in &tiles {
            let is_coded = file.item(tile).map_err(error)?.item_type.0 == *b"hvc1";
            let mut placement = Placement::whole(item.tile);
            for property in file.item_properties(tile).map_err(error)? {
                placement.apply(property)?;
            }
            if !is_coded || !placement.is_plain(item.tile) {
                return Err(ImageError::coding("a HEIC image whose tiles are not plain images".to_owned()));
            }
            if file.image_size(tile).map_err(error)? != Some(item.tile) {
                return Err(super::corrupt("its tiles have different sizes"));
            }
        }
        let (columns, rows) = (u32::from(grid.columns), u32::from(grid.rows));
        let is_covered = |count: u32, tile: u32, side: u32| (count - 1) * tile < side && side <= count * tile;
        if !is_covered(columns, item.tile.0, size.0) || !is_covered(rows, item.tile.1, size.1) {
            return Err(super::corrupt(format!(
                "its {columns} x {rows} tiles of {} x {} pixels do not match its size of {} x {} pixels",
                item.tile.0, item.tile.1, size.0, size.1
            )));
        }
        item.id = id;
        (item.tiles, item.columns, item.size, item.placement) = (tiles, columns, size, Placement::whole(size));
        Ok(item)
    }

    /// Returns the largest number of pixels that the HEVC header of a tile may declare: HEVC codes blocks of up to 64
    /// pixels a side, so that it can have a few more than the tile.
    pub(super) fn max_coded_pixels(&self) -> u64 {
        let coded = |side: u32| u64::from(side.next_multiple_of(64)) + 64;
        coded(self.tile.0) * coded(self.tile.1)
    }

    /// Returns how many bytes are allocated to decode one tile after the other, without the result.
    pub(super) fn tile_bytes(&self) -> u64 {
        let own = self.max_coded_pixels().saturating_mul(self.bytes_per_pixel);
        // The opacity is kept with a byte for each pixel.
        let alpha = self.alpha.as_ref().map_or(0, |alpha| {
            alpha.tile_bytes().max(own).saturating_sub(own) + u64::from(alpha.size.0) * u64::from(alpha.size.1)
        });
        own.saturating_add(alpha)
    }
}

fn check_size((width, height): (u32, u32)) -> Result<(), ImageError> {
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(super::corrupt(format!("its header declares {width} x {height} pixels")));
    }
    Ok(())
}

fn is_alpha(file: &HeifFile<'_>, id: ItemId) -> bool {
    file.item_properties(id).is_ok_and(|mut properties| {
        properties.any(|property| {
            matches!(property, Property::AuxiliaryType(kind)
                if kind == "urn:mpeg:hevc:2015:auxid:1" || kind == "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
        })
    })
}

fn describe(kind: [u8; 4]) -> String {
    let coding = match &kind {
        b"av01" => "AV1",
        b"avc1" => "AVC",
        b"vvc1" => "VVC",
        b"jpeg" => "JPEG",
        b"j2k1" => "JPEG 2000",
        b"unci" => "uncompressed",
        b"iovl" => return "that consists of several images over each other".to_owned(),
        other => return format!("of the kind `{}`", String::from_utf8_lossy(other)),
    };
    format!("in {coding}")
}
