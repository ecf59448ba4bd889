// One image of the grid, with its score, or with its name if it is not the result of a search.

import { button, el } from "../dom.js";
import { formatRelevance, RELEVANCE_EXPLANATION, SCORE_EXPLANATION } from "./relevance.js";

const LABEL_HEIGHT = 34;
/** Aspect ratios outside these bounds are shown within them, with empty space beside the image. */
const MIN_RATIO = 0.45;
const MAX_RATIO = 3.2;

export const MORE_EXPLANATION = "More like this: adds the image to the search (+)";
export const LESS_EXPLANATION = "Less like this: excludes such images from the search (−)";

/** @param {GridImage} result */
function tileRatio({ width, height }) {
  return Math.min(MAX_RATIO, Math.max(MIN_RATIO, (width || 1) / (height || 1)));
}

/**
 * A result of a search, or an image of a list.
 * @typedef {Pick<ResultReply, "id" | "s3_key" | "s3_uri" | "format" | "width" | "height" | "thumbnail" | "preview" | "original">
 *   & Partial<Pick<ResultReply, "taken_at" | "camera" | "score" | "relevance" | "identical" | "terms">>
 *   & Partial<Pick<ResultReply, "duplicates" | "duplicates_total">>}
 *   GridImage
 */

/**
 * @typedef {object} Tile
 * @property {HTMLLIElement} item
 * @property {HTMLButtonElement} button
 * @property {HTMLElement} media The image, or the text in its place.
 * @property {HTMLElement | null} bar Null without a score.
 * @property {number} ratio
 */

/**
 * @param {GridImage} result
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
  const { bar, name, children } = result.score === undefined ? nameLabel(result) : scoreLabel(result, marks);
  const file = result.s3_key.split("/").at(-1);
  const explanations = marks.flatMap(({ explanation }) => explanation ?? []);
  const element = el(
    "button",
    {
      type: "button",
      class: "hit",
      title: result.s3_key,
      "aria-label": [result.s3_key, ...name, `result ${index + 1}`, ...explanations].join(", "),
      tabIndex: -1,
      onclick: onOpen,
      onfocus: onFocus,
    },
    image,
    el("span", { class: "score" }, children),
  );
  const actions = el(
    "div",
    { class: "actions" },
    // The tab key passes them: the image has the same keys.
    button("+", () => onAdd("like"), {
      title: MORE_EXPLANATION,
      "aria-label": `More like this: ${file}`,
      tabIndex: -1,
    }),
    button("−", () => onAdd("not_like"), {
      title: LESS_EXPLANATION,
      "aria-label": `Less like this: ${file}`,
      tabIndex: -1,
    }),
  );
  /** @type {Tile} */
  const tile = {
    item: el("li", {}, element, actions),
    button: element,
    media: image,
    bar,
    ratio: tileRatio(result),
  };
  image.addEventListener("error", () => replaceMissingImage(tile, result), { once: true });
  return tile;
}

/**
 * The label of an image of a list. Its accessible name is the key, which contains the label.
 * @param {GridImage} result
 */
function nameLabel({ s3_key: key }) {
  return { bar: null, name: [], children: [el("span", { class: "name" }, key.split("/").at(-1))] };
}

/**
 * The label of a result.
 * @param {GridImage} result
 * @param {import("./compare.js").Mark[]} marks
 */
function scoreLabel(result, marks) {
  const bar = el("span");
  const score = result.score?.toFixed(3);
  const relevance = formatRelevance(result);
  // The accessible name contains the visible label, so that users of speech input can say what they see.
  const visible = [score, relevance, ...marks.map(({ label }) => label)].filter(Boolean).join(" ");
  return {
    bar,
    name: [`${relevance ? "score and relevance" : "score"} ${visible}`],
    children: [
      el("span", { class: "bar" }, bar),
      el("span", { class: "cosine", title: SCORE_EXPLANATION }, score),
      relevance && [" ", el("span", { class: "relevance", title: RELEVANCE_EXPLANATION }, relevance)],
      marks.map(({ kind, label, explanation }) => [
        " ",
        el("span", { class: `mark ${kind}`, title: explanation }, label),
      ]),
    ],
  };
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
 * @param {GridImage} result
 */
function replaceMissingImage(tile, result) {
  const name = result.s3_key.split("/").at(-1);
  const text = el("span", { class: "missing" }, `${name} cannot be shown`);
  text.style.height = tile.media.style.height;
  tile.media.replaceWith(text);
  tile.media = text;
}
