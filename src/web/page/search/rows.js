// Rows of tiles: each is as wide as the grid, and each image keeps its aspect ratio.

import { resizeTile } from "./tile.js";

/** @typedef {import("./tile.js").Tile} Tile */

const GAP = 8;

/** @param {number} width The width of the grid. */
function targetRowHeight(width) {
  if (width < 560) return 132;
  return width < 1800 ? 190 : 236;
}

/**
 * Sets the size of each tile, so that each row is full.
 * @param {Tile[]} tiles
 * @param {number} width The width of the rows.
 */
export function layoutRows(tiles, width) {
  const target = targetRowHeight(width);
  /** @param {number} count @param {number} ratios The height of a full row with this many tiles. */
  const rowHeight = (count, ratios) => (width - GAP * (count - 1)) / ratios;
  /** @type {Tile[]} */
  let row = [];
  let ratios = 0;
  /** @param {number} height */
  const finishRow = (height) => {
    for (const tile of row) resizeTile(tile, height);
    row = [];
    ratios = 0;
  };
  for (const tile of tiles) {
    const without = rowHeight(row.length, ratios);
    const withTile = rowHeight(row.length + 1, ratios + tile.ratio);
    // A wide tile would make narrow ones before it tiny: the row ends before it if that height is nearer to the target.
    if (row.length && target / withTile > Math.max(1, without / target)) finishRow(without);
    row.push(tile);
    ratios += tile.ratio;
    const height = rowHeight(row.length, ratios);
    if (height <= target) finishRow(height);
  }
  if (row.length) finishRow(Math.min(target, rowHeight(row.length, ratios)));
}
