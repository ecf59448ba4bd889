// Where the user is in the results. It is kept in the browser's history, so that the back button and a reload restore it.

/** The maximum number of images that are loaded again to restore a position. */
const MAX_RESTORED = 1_000;

/**
 * @typedef {object} Position
 * @property {number} scroll
 * @property {import("./grid.js").GridState[]} grids
 */

/**
 * @param {import("./grid.js").Grid[]} grids
 * @returns {Position}
 */
export function readPosition(grids) {
  return { scroll: scrollY, grids: grids.map((grid) => grid.state) };
}

/**
 * @param {Partial<Position>} position
 * @param {import("./grid.js").Grid[]} grids
 */
export async function restorePosition(position, grids) {
  for (const [index, grid] of grids.entries()) {
    const state = position.grids?.[index];
    if (!state) continue;
    grid.open = state.open;
    const count = Math.min(state.count, MAX_RESTORED);
    while (grid.results.length < count && (await grid.loadMore()));
    grid.restoreFocus(state.focused);
  }
  scrollTo(0, position.scroll ?? 0);
}
