// A justified grid: each row is as wide as the page, and each image keeps its aspect ratio. The size of each tile is known
// before its image has loaded, so that nothing moves while images load.

import { el } from "../dom.js";

const GAP = 8;
const LABEL_HEIGHT = 34;
/** Aspect ratios outside these bounds are shown within them, with empty space beside the image. */
const MIN_RATIO = 0.45;
const MAX_RATIO = 3.2;
/** The number of images that load at once; the others load when they are near the viewport. */
const EAGER_IMAGES = 24;

/** @param {ResultReply} result */
function tileRatio({ width, height }) {
  return Math.min(MAX_RATIO, Math.max(MIN_RATIO, (width || 1) / (height || 1)));
}

/** @param {number} width The width of the grid. */
function targetRowHeight(width) {
  if (width < 560) return 132;
  return width < 1800 ? 190 : 236;
}

/**
 * @typedef {object} Tile
 * @property {HTMLLIElement} item
 * @property {HTMLButtonElement} button
 * @property {HTMLElement} media The image, or the text in its place.
 * @property {HTMLElement} bar
 * @property {number} ratio
 */

export class Grid {
  list;
  /** @type {ResultReply[]} */
  results = [];
  /**
   * Loads the next page of results; resolves to whether there was one.
   * @type {() => Promise<boolean>}
   */
  loadMore = async () => false;
  /** @type {Tile[]} */
  #tiles = [];
  #onOpen;
  #observer = new ResizeObserver(() => this.layout());

  /**
   * @param {(index: number) => void} onOpen Called if the user opens an image.
   * @param {string} label For screen readers.
   */
  constructor(onOpen, label) {
    this.#onOpen = onOpen;
    this.list = el("ul", {
      class: "grid",
      "aria-label": label,
      onkeydown: (event) => this.#moveFocus(event),
    });
    this.#observer.observe(this.list);
  }

  /**
   * @param {ResultReply[]} results
   * @param {import("./compare.js").Mark[]} [rankMarks] One for each result, if two stores are compared.
   */
  append(results, rankMarks = []) {
    for (const [position, result] of results.entries()) {
      const marks = rankMarks[position] ? [rankMarks[position]] : [];
      if (result.identical) marks.push({ kind: "same", label: "same file" });
      const tile = this.#createTile(result, this.results.length, marks);
      this.results.push(result);
      this.#tiles.push(tile);
      this.list.append(tile.item);
    }
    this.#scaleBars();
    this.layout();
  }

  /**
   * @param {ResultReply} result
   * @param {number} index
   * @param {import("./compare.js").Mark[]} marks
   * @returns {Tile}
   */
  #createTile(result, index, marks) {
    const image = el("img", {
      src: result.thumbnail,
      alt: "",
      loading: index < EAGER_IMAGES ? "eager" : "lazy",
      decoding: "async",
      draggable: false,
    });
    const barFill = el("span");
    const score = result.score.toFixed(3);
    // The accessible name contains the visible label, so that users of speech input can say what they see.
    const visible = [score, ...marks.map(({ label }) => label)].join(" ");
    const explanations = marks.flatMap(({ explanation }) => explanation ?? []);
    const element = el(
      "button",
      {
        type: "button",
        class: "hit",
        title: result.s3_key,
        "aria-label": [result.s3_key, `score ${visible}`, `result ${index + 1}`, ...explanations].join(", "),
        tabIndex: index === 0 ? 0 : -1,
        onclick: () => this.#onOpen(index),
        onfocus: () => this.#setTabStop(index),
      },
      image,
      el(
        "span",
        { class: "score" },
        el("span", { class: "bar" }, barFill),
        el("span", {}, score),
        marks.map(({ kind, label, explanation }) => [
          " ",
          el("span", { class: `mark ${kind}`, title: explanation }, label),
        ]),
      ),
    );
    /** @type {Tile} */
    const tile = {
      item: el("li", {}, element),
      button: element,
      media: image,
      bar: barFill,
      ratio: tileRatio(result),
    };
    image.addEventListener("error", () => replaceMissingImage(tile, result), { once: true });
    return tile;
  }

  /** Scales the bars to the range of the scores: cosines of good and bad results differ by little. */
  #scaleBars() {
    const scores = this.results.map((result) => result.score);
    const min = Math.min(...scores);
    const max = Math.max(...scores);
    for (const [index, { bar }] of this.#tiles.entries()) {
      const share = max > min ? (scores[index] - min) / (max - min) : 1;
      bar.style.width = `${Math.round(6 + 94 * share)}%`;
    }
  }

  /** Sets the size of each tile for the current width of the grid. */
  layout() {
    // Not `clientWidth`, which rounds up: one pixel too many wraps every row.
    const width = Math.floor(this.list.getBoundingClientRect().width);
    if (!width) return;
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
    for (const tile of this.#tiles) {
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

  /**
   * Makes one tile reachable by the tab key; the arrow keys lead to the others.
   * @param {number} index
   */
  #setTabStop(index) {
    for (const tile of this.#tiles) tile.button.tabIndex = -1;
    this.#tiles[index].button.tabIndex = 0;
  }

  /** @param {number} index */
  focus(index) {
    this.#tiles[Math.max(0, Math.min(index, this.#tiles.length - 1))]?.button.focus();
  }

  /** @param {KeyboardEvent} event */
  #moveFocus(event) {
    const index = this.#tiles.findIndex((tile) => tile.button === document.activeElement);
    if (index < 0) return;
    const next = this.#nextIndex(index, event.key);
    if (next === null) return;
    event.preventDefault();
    if (next >= 0 && next < this.#tiles.length) this.focus(next);
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
        return this.#tiles.length - 1;
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
    for (let other = index + step; other >= 0 && other < this.#tiles.length; other += step) {
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

/**
 * @param {Tile} tile
 * @param {number} height
 */
function resizeTile({ item, media, ratio }, height) {
  item.style.width = `${Math.floor(ratio * height * 100) / 100}px`;
  item.style.height = `${Math.round(height) + LABEL_HEIGHT}px`;
  media.style.height = `${Math.round(height)}px`;
}

/**
 * Shows a text in place of an image that cannot be loaded.
 * @param {Tile} tile
 * @param {ResultReply} result
 */
function replaceMissingImage(tile, result) {
  const name = result.s3_key.split("/").at(-1);
  const text = el("span", { class: "missing" }, `${name} cannot be shown`);
  text.style.height = tile.media.style.height;
  tile.media.replaceWith(text);
  tile.media = text;
}
