//! The primary image of a HEIF file: one coded image, or a grid of them.

use heifer_isobmff::boxes::Property;
use heifer_isobmff::{HeifFile, ItemId};

use super::turn::Placement;
use super::{Coding, container_error};
use crate::imaging::ImageError;

/// How deep images can be derived from others.
const MAX_DEPTH: u8 = 4;
/// Maximum side of an image or a tile in pixels. It keeps all products of sides small.
const MAX_SIDE: u32 = 1 << 16;

/// An image of one or several tiles.
pub(crate) struct Item {
    pub(crate) id: ItemId,
    /// The coded images, row by row.
    pub(crate) tiles: Vec<ItemId>,
    pub(crate) columns: u32,
    /// Width and height of each tile.
    pub(crate) tile: (u32, u32),
    /// Width and height of the image before it is cropped.
    pub(crate) size: (u32, u32),
    pub(crate) placement: Placement,
    /// The image of which the first channel is the opacity.
    pub(crate) alpha: Option<Box<Item>>,
    /// Whether the colours were multiplied by the opacity before they were encoded.
    pub(crate) is_premultiplied: bool,
    coding: Coding,
    /// Bytes that the decoder allocates for each pixel of a tile.
    bytes_per_pixel: u64,
}

impl Item {
    /// Reads the primary image.
    pub(crate) fn read(bytes: &[u8], file: &HeifFile<'_>, coding: Coding) -> Result<Self, ImageError> {
        let reader = Reader { bytes, file, coding };
        let mut item = reader.item(file.primary_id, 0)?;
        item.alpha = match file.referencing_items(item.id, b"auxl").into_iter().find(|&id| is_alpha(file, id)) {
            Some(id) => {
                let alpha = reader.item(id, 0)?;
                if alpha.size.0 < item.size.0 || alpha.size.1 < item.size.1 {
                    let name = coding.format().name();
                    return Err(ImageError::coding(format!("a {name} image with transparency of another size")));
                }
                item.is_premultiplied = file.referenced_items(item.id, b"prem").contains(&id);
                Some(Box::new(alpha))
            }
            None => None,
        };
        Ok(item)
    }

    /// Returns the largest number of pixels that the header of a coded tile may declare: both codings have blocks of
    /// pixels, so that it can have a few more than the tile.
    pub(crate) fn max_coded_pixels(&self) -> u64 {
        let block = self.coding.block_side();
        let coded = |side: u32| u64::from(side.next_multiple_of(block)) + u64::from(block);
        coded(self.tile.0) * coded(self.tile.1)
    }

    /// Returns how many bytes are allocated to decode one tile after the other, without the result.
    pub(crate) fn tile_bytes(&self) -> u64 {
        let own = self.max_coded_pixels().saturating_mul(self.bytes_per_pixel);
        // The opacity is kept with a byte for each pixel.
        let alpha = self.alpha.as_ref().map_or(0, |alpha| {
            alpha.tile_bytes().max(own).saturating_sub(own) + u64::from(alpha.size.0) * u64::from(alpha.size.1)
        });
        own.saturating_add(alpha)
    }
}

/// Reads the items of one file.
struct Reader<'a> {
    bytes: &'a [u8],
    file: &'a HeifFile<'a>,
    coding: Coding,
}

impl Reader<'_> {
    fn item(&self, id: ItemId, depth: u8) -> Result<Item, ImageError> {
        if depth > MAX_DEPTH {
            return Err(self.coding.corrupt("its images are derived from each other"));
        }
        let kind = self.kind(id)?;
        let mut item = match &kind {
            kind if *kind == self.coding.item_type() => self.coded(id)?,
            b"grid" => self.grid(id)?,
            b"iden" => match self.file.referenced_items(id, b"dimg") {
                &[source] => self.item(source, depth + 1)?,
                _ => return Err(self.coding.corrupt("it has a derived image without a source")),
            },
            other => return Err(ImageError::coding(format!("a HEIF image {}", describe(*other)))),
        };
        self.place(id, &mut item.placement)?;
        Ok(item)
    }

    fn coded(&self, id: ItemId) -> Result<Item, ImageError> {
        let size = self.size(id)?.ok_or_else(|| self.coding.corrupt("its image has no size"))?;
        self.check_size(size)?;
        let bytes_per_pixel = self.coding.bytes_per_pixel(self.bytes, self.file, id)?;
        Ok(Item {
            id,
            tiles: vec![id],
            columns: 1,
            tile: size,
            size,
            placement: Placement::whole(size),
            alpha: None,
            is_premultiplied: false,
            coding: self.coding,
            bytes_per_pixel,
        })
    }

    fn grid(&self, id: ItemId) -> Result<Item, ImageError> {
        let corrupt = |reason: String| self.coding.corrupt(reason);
        let grid = self.file.grid(id).map_err(|error| self.error(&error))?;
        let size = (grid.output_width, grid.output_height);
        self.check_size(size)?;
        let tiles = self.file.referenced_items(id, b"dimg").to_vec();
        if tiles.len() != usize::from(grid.rows) * usize::from(grid.columns) {
            return Err(corrupt(format!(
                "it has {} tiles, but {} columns and {} rows",
                tiles.len(),
                grid.columns,
                grid.rows
            )));
        }
        let first = *tiles.first().ok_or_else(|| self.coding.corrupt("it has no tiles"))?;
        let mut item = self.coded(first)?;
        for &tile in &tiles {
            let mut placement = Placement::whole(item.tile);
            self.place(tile, &mut placement)?;
            if self.kind(tile)? != self.coding.item_type() || !placement.is_plain(item.tile) {
                let name = self.coding.format().name();
                return Err(ImageError::coding(format!("a {name} image whose tiles are not plain images")));
            }
            if self.size(tile)? != Some(item.tile) {
                return Err(self.coding.corrupt("its tiles have different sizes"));
            }
        }
        let (columns, rows) = (u32::from(grid.columns), u32::from(grid.rows));
        let is_covered = |count: u32, tile: u32, side: u32| (count - 1) * tile < side && side <= count * tile;
        if !is_covered(columns, item.tile.0, size.0) || !is_covered(rows, item.tile.1, size.1) {
            return Err(corrupt(format!(
                "its {columns} x {rows} tiles of {} x {} pixels do not match its size of {} x {} pixels",
                item.tile.0, item.tile.1, size.0, size.1
            )));
        }
        item.id = id;
        (item.tiles, item.columns, item.size, item.placement) = (tiles, columns, size, Placement::whole(size));
        Ok(item)
    }

    fn kind(&self, id: ItemId) -> Result<[u8; 4], ImageError> {
        Ok(self.file.item(id).map_err(|error| self.error(&error))?.item_type.0)
    }

    fn size(&self, id: ItemId) -> Result<Option<(u32, u32)>, ImageError> {
        self.file.image_size(id).map_err(|error| self.error(&error))
    }

    /// Applies the properties of an item that crop, turn or mirror it.
    fn place(&self, id: ItemId, placement: &mut Placement) -> Result<(), ImageError> {
        for property in self.file.item_properties(id).map_err(|error| self.error(&error))? {
            placement.apply(property, self.coding)?;
        }
        Ok(())
    }

    fn check_size(&self, (width, height): (u32, u32)) -> Result<(), ImageError> {
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(self.coding.corrupt(format!("its header declares {width} x {height} pixels")));
        }
        Ok(())
    }

    fn error(&self, error: &heifer_isobmff::Error) -> ImageError {
        container_error(self.bytes, error, self.coding)
    }
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
        b"hvc1" => "HEVC",
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
