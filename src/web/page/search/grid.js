// A justified grid: each row is as wide as the page, and each image keeps its aspect ratio. The size of each tile is known
// before its image has loaded, so that nothing moves while images load.
// Less relevant images are in a list of their own, below a line; it is hidden until the user opens it.

import { el } from "../dom.js";
import { isTyping } from "../shortcuts.js";
import { duplicatesMark } from "./duplicates.js";
import { createFold, isLessRelevant, NO_GOOD_MATCH } from "./relevance.js";
import { layoutRows } from "./rows.js";
import { createTile } from "./tile.js";

/** @typedef {import("./tile.js").Tile} Tile */
/** @typedef {import("./tile.js").GridImage} GridImage */

/**
 * @typedef {object} GridState
 * @property {boolean} open Whether less relevant images are shown.
 * @property {number} count The number of images that are loaded.
 * @property {number} focused The index of the image that has the focus, or -1.
 */

/** The number of images that load at once; the others load when they are near the viewport. */
const EAGER_IMAGES = 24;

/**
 * Keys that add an image to the search.
 * @type {Record<string, "like" | "not_like">}
 */
export const TERM_KEYS = { "+": "like", "-": "not_like" };

export class Grid {
  element;
  /** @type {GridImage[]} */
  results = [];
  /**
   * Loads the next page of results; resolves to whether there was one.
   * @type {() => Promise<boolean>}
   */
  loadMore = async () => false;
  /**
   * Called if the user opens or closes the fold.
   * @type {() => void}
   */
  onToggle = () => {};
  /** Whether a line separates the less relevant images. */
  isDivided = true;
  /** @type {Tile[]} */
  #tiles = [];
  /** The number of images above the line. */
  #relevantCount = 0;
  /** Whether all less relevant results are loaded. */
  #complete = false;
  #open = false;
  #actions;
  #relevant;
  #lessRelevant;
  #message = el("p", { class: "no-match", hidden: true });
  #fold = createFold(() => this.#toggle());
  #observer = new ResizeObserver(() => this.layout());

  /**
   * @param {object} actions
   * @param {(index: number) => void} actions.open Called if the user opens an image.
   * @param {(index: number, field: "like" | "not_like") => void} actions.add Called if the user adds an image to the search.
   * @param {string} label For screen readers.
   */
  constructor(actions, label) {
    this.#actions = actions;
    this.#relevant = el("ul", { class: "grid", "aria-label": label });
    this.#lessRelevant = el("ul", { class: "grid", "aria-label": `${label}, less relevant`, hidden: true });
    this.element = el(
      "div",
      { onkeydown: (event) => this.#handleKey(event) },
      this.#message,
      this.#relevant,
      this.#fold.element,
      this.#lessRelevant,
    );
    this.#observer.observe(this.element);
  }

  /** The number of images that the user can see: those above the line, or all if the fold is open. */
  get shownCount() {
    return this.#open ? this.results.length : this.#relevantCount;
  }

  /** Whether there are less relevant images, and the user has not opened them. */
  get folded() {
    return this.shownCount < this.results.length;
  }

  /** @returns {GridState} */
  get state() {
    const focused = this.#tiles.findIndex((tile) => tile.item.contains(document.activeElement));
    return { open: this.#open, count: this.results.length, focused };
  }

  /** Shows or hides the less relevant images. */
  set open(/** @type {boolean} */ open) {
    if (open !== this.#open) this.#toggle();
  }

  /**
   * Moves the focus to an image without scrolling.
   * @param {number} index
   */
  restoreFocus(index) {
    this.#tiles[index]?.button.focus({ preventScroll: true });
  }

  /** Shows that no result is relevant. Call this before the first results are appended. */
  showNoGoodMatch() {
    this.#message.hidden = false;
  }

  /**
   * @param {GridImage[]} results
   * @param {object} options
   * @param {boolean} options.complete Whether these are the last results.
   * @param {import("./compare.js").Mark[]} [options.rankMarks] One for each result, if two stores are compared.
   */
  append(results, { complete, rankMarks = [] }) {
    this.#complete = complete;
    for (const [position, result] of results.entries()) {
      const marks = rankMarks[position] ? [rankMarks[position]] : [];
      if (result.identical) marks.push({ kind: "same", label: "same file" });
      const copies = duplicatesMark(result);
      if (copies) marks.push(copies);
      this.#appendTile(result, marks);
    }
    this.#showFold();
    this.#scaleBars();
    this.layout();
  }

  /**
   * @param {GridImage} result
   * @param {import("./compare.js").Mark[]} marks
   */
  #appendTile(result, marks) {
    const index = this.results.length;
    // The results are sorted: all that follow a less relevant one are less relevant.
    const isBelowLine = this.#relevantCount < index || !this.#message.hidden || isLessRelevant(result);
    const folded = this.isDivided && isBelowLine;
    const tile = createTile(result, {
      index,
      marks,
      eager: index < EAGER_IMAGES && !folded,
      onOpen: () => this.#actions.open(index),
      onAdd: (field) => this.#actions.add(index, field),
      onFocus: () => this.#setTabStop(index),
    });
    this.results.push(result);
    this.#tiles.push(tile);
    if (!folded) this.#relevantCount += 1;
    const list = folded ? this.#lessRelevant : this.#relevant;
    list.append(tile.item);
    if (list.firstChild === tile.item) tile.button.tabIndex = 0;
  }

  #toggle() {
    this.#open = !this.#open;
    this.#showFold();
    this.layout();
    this.onToggle();
  }

  #showFold() {
    const count = this.results.length - this.#relevantCount;
    this.#fold.show(count && !this.#complete ? null : count, this.#open);
    this.#lessRelevant.hidden = count === 0 || !this.#open;
    this.#message.textContent = `${NO_GOOD_MATCH} ${this.#open ? "The nearest ones are below." : "The nearest ones are hidden."}`;
  }

  /**
   * A bar shows the relevance. If it is not known, the bars have the range of the scores: cosines of good and bad results differ
   * by little.
   */
  #scaleBars() {
    // Images of a list have no score.
    const scores = this.results.map(({ score }) => score ?? 0);
    const min = Math.min(...scores);
    const max = Math.max(...scores);
    for (const [index, { bar }] of this.#tiles.entries()) {
      if (!bar) continue;
      const share = max > min ? (scores[index] - min) / (max - min) : 1;
      bar.style.width = `${Math.round(100 * (this.results[index].relevance ?? 0.06 + 0.94 * share))}%`;
    }
  }

  /** Sets the size of each tile for the current width of the grid. */
  layout() {
    // Not `clientWidth`, which rounds up: one pixel too many wraps every row.
    const width = Math.floor(this.element.getBoundingClientRect().width);
    if (!width) return;
    layoutRows(this.#tiles.slice(0, this.#relevantCount), width);
    layoutRows(this.#tiles.slice(this.#relevantCount), width);
  }

  /**
   * Makes one tile of its list reachable by the tab key; the arrow keys lead to the others.
   * @param {number} index
   */
  #setTabStop(index) {
    const { item } = this.#tiles[index];
    for (const tile of this.#tiles) {
      if (tile.item.parentNode === item.parentNode) tile.button.tabIndex = tile.item === item ? 0 : -1;
    }
  }

  /**
   * Moves the focus to an image, or to the button that shows the images if none is shown.
   * @param {number} index
   */
  focus(index) {
    if (this.shownCount) this.#tiles[Math.max(0, Math.min(index, this.shownCount - 1))].button.focus();
    else this.#fold.focus();
  }

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    const index = this.#tiles.findIndex((tile) => tile.item.contains(document.activeElement));
    if (index < 0) return;
    const field = isTyping(event) ? undefined : TERM_KEYS[event.key];
    if (field) return this.#actions.add(index, field);
    const next = this.#nextIndex(index, event.key);
    if (next === null) return;
    event.preventDefault();
    if (next >= 0 && next < this.shownCount) this.focus(next);
  }

  /**
   * @param {number} index
   * @param {string} key
   * @returns {number | null} Null if the key does not move the focus; outside the grid if there is no next tile.
   */
  #nextIndex(index, key) {
    switch (key) {
      case "ArrowLeft":
        return index - 1;
      case "ArrowRight":
        return index + 1;
      case "Home":
        return 0;
      case "End":
        return this.shownCount - 1;
      case "ArrowUp":
        return this.#nearestInNextRow(index, -1);
      case "ArrowDown":
        return this.#nearestInNextRow(index, 1);
      default:
        return null;
    }
  }

  /**
   * The tile of the row above or below that is nearest to the centre of this one.
   * @param {number} index
   * @param {1 | -1} step
   */
  #nearestInNextRow(index, step) {
    const box = this.#tiles[index].item.getBoundingClientRect();
    const centre = (box.left + box.right) / 2;
    let nearest = -1;
    let minDistance = Number.POSITIVE_INFINITY;
    let rowTop = null;
    for (let other = index + step; other >= 0 && other < this.shownCount; other += step) {
      const { top, left, right } = this.#tiles[other].item.getBoundingClientRect();
      if (Math.abs(top - box.top) < 2) continue;
      rowTop ??= top;
      if (Math.abs(top - rowTop) > 2) break;
      const distance = Math.abs((left + right) / 2 - centre);
      if (distance < minDistance) {
        nearest = other;
        minDistance = distance;
      }
    }
    return nearest;
  }

  /** Ends the observation of the grid's size. */
  disconnect() {
    this.#observer.disconnect();
  }
}
