// A grid whose images can be opened, and added to the search.

import { addImage } from "./add-image.js";
import { Grid } from "./grid.js";
import { OPENED_ENTRY, openImageAddress } from "./open-image.js";
import { openViewer } from "./viewer.js";

/**
 * @param {string} label For screen readers.
 * @param {import("./add-image.js").SearchContext} context
 */
export function createImageGrid(label, context) {
  /** @type {Grid} */
  const grid = new Grid(
    {
      open: (index) => {
        context.navigate(openImageAddress(grid.results[index].id), OPENED_ENTRY);
        openViewer(grid, index, context);
      },
      add: (index, field) => addImage(context, field, grid.results[index].id),
    },
    label,
  );
  return grid;
}
