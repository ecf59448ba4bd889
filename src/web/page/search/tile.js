// One image of the grid, with its score.

import { button, el } from "../dom.js";
import { formatRelevance, RELEVANCE_EXPLANATION, SCORE_EXPLANATION } from "./relevance.js";

const LABEL_HEIGHT = 34;
/** Aspect ratios outside these bounds are shown within them, with empty space beside the image. */
const MIN_RATIO = 0.45;
const MAX_RATIO = 3.2;

export const MORE_EXPLANATION = "More like this: adds the image to the search (+)";
export const LESS_EXPLANATION = "Less like this: excludes such images from the search (−)";

/** @param {ResultReply} result */
function tileRatio({ width, height }) {
  return Math.min(MAX_RATIO, Math.max(MIN_RATIO, (width || 1) / (height || 1)));
}

/**
 * @typedef {object} Tile
 * @property {HTMLLIElement} item
 * @property {HTMLButtonElement} button
 * @property {HTMLElement} media The image, or the text in its place.
 * @property {HTMLElement} bar
 * @property {number} ratio
 */

/**
 * @param {ResultReply} result
 * @param {object} options
 * @param {number} options.index
 * @param {import("./compare.js").Mark[]} options.marks
 * @param {boolean} options.eager Whether the image loads at once; otherwise it loads when it is near the viewport.
 * @param {() => void} options.onOpen
 * @param {() => void} options.onFocus
 * @param {(field: "like" | "not_like") => void} options.onAdd Called if the user adds the image to the search.
 * @returns {Tile}
 */
export function createTile(result, { index, marks, eager, onOpen, onFocus, onAdd }) {
  const image = el("img", {
    src: result.thumbnail,
    alt: "",
    loading: eager ? "eager" : "lazy",
    decoding: "async",
    draggable: false,
  });
  const barFill = el("span");
  const score = result.score.toFixed(3);
  const relevance = formatRelevance(result);
  // The accessible name contains the visible label, so that users of speech input can say what they see.
  const visible = [score, relevance, ...marks.map(({ label }) => label)].filter(Boolean).join(" ");
  const explanations = marks.flatMap(({ explanation }) => explanation ?? []);
  const scoreName = relevance ? "score and relevance" : "score";
  const element = el(
    "button",
    {
      type: "button",
      class: "hit",
      title: result.s3_key,
      "aria-label": [result.s3_key, `${scoreName} ${visible}`, `result ${index + 1}`, ...explanations].join(", "),
      tabIndex: -1,
      onclick: onOpen,
      onfocus: onFocus,
    },
    image,
    el(
      "span",
      { class: "score" },
      el("span", { class: "bar" }, barFill),
      el("span", { class: "cosine", title: SCORE_EXPLANATION }, score),
      relevance && [" ", el("span", { class: "relevance", title: RELEVANCE_EXPLANATION }, relevance)],
      marks.map(({ kind, label, explanation }) => [
        " ",
        el("span", { class: `mark ${kind}`, title: explanation }, label),
      ]),
    ),
  );
  const actions = el(
    "div",
    { class: "actions" },
    button("+", () => onAdd("like"), { title: MORE_EXPLANATION, "aria-label": "More like this" }),
    button("−", () => onAdd("not_like"), { title: LESS_EXPLANATION, "aria-label": "Less like this" }),
  );
  /** @type {Tile} */
  const tile = {
    item: el("li", {}, element, actions),
    button: element,
    media: image,
    bar: barFill,
    ratio: tileRatio(result),
  };
  image.addEventListener("error", () => replaceMissingImage(tile, result), { once: true });
  return tile;
}

/**
 * @param {Tile} tile
 * @param {number} height
 */
export function resizeTile({ item, media, ratio }, height) {
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
