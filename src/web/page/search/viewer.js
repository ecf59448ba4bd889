// One image over the whole page, with its metadata.

import { ApiError, fetchJson } from "../api.js";
import { announce, button, copyButton, el } from "../dom.js";
import { formatBytes, formatDateTime } from "../format.js";
import { isTyping } from "../shortcuts.js";
import { termLabel } from "./chips.js";
import { duplicatesList } from "./duplicates.js";
import { focusFirstImage, TERM_KEYS } from "./grid.js";
import { queryAddress } from "./query.js";
import { chooseRegion } from "./region.js";
import { formatRelevance, RELEVANCE_EXPLANATION, SCORE_EXPLANATION } from "./relevance.js";
import { queryTerms } from "./terms.js";
import { LESS_EXPLANATION, MORE_EXPLANATION } from "./tile.js";

/** Images with at least this score are near-duplicates. */
const DUPLICATE_MIN_SCORE = "0.98";
/** Smaller images are enlarged to about this many pixels, each pixel a square. */
const MIN_SHOWN_SIZE = 256;
/** Beyond this aspect ratio an image that fits the screen is thinner than one pixel and would not be visible. */
const MAX_TRUE_RATIO = 200;
const TERMS_EXPLANATION = "The cosine similarity of the image and each part of the search, from −1 to 1.";
const FORMATS_WITH_TRANSPARENCY = ["png", "webp", "gif"];

/** @typedef {import("./tile.js").GridImage} GridImage */
/** @typedef {[name: string, value: string | number | null | undefined, explanation?: string]} Fact */

/** @type {HTMLDialogElement | null} */
let openDialog = null;

/**
 * Opens the image at an index of the grid.
 * @param {import("./grid.js").Grid} grid
 * @param {number} firstIndex
 * @param {object} context
 * @param {import("./query.js").Query} context.query
 * @param {import("../main.js").Navigate} context.navigate
 * @param {(index: number, field: "like" | "not_like") => unknown} context.add Adds an image to the search.
 */
export function openViewer(grid, firstIndex, { query, navigate, add }) {
  let index = firstIndex;
  const image = el("img", { class: "large", alt: "", onerror: showThumbnail });
  const errorText = el("p", { class: "warning", role: "alert", hidden: true });
  const details = el("div", { class: "facts" });
  const previous = button("‹", () => step(-1), { class: "step previous", "aria-label": "Previous image" });
  const next = button("›", () => step(1), { class: "step next", "aria-label": "Next image" });
  const stage = el(
    "div",
    {
      class: "stage",
      onclick: (event) => {
        if (event.target === stage) dialog.close();
      },
    },
    image,
    errorText,
    previous,
    next,
  );
  const closeButton = button("×", () => dialog.close(), { class: "close", "aria-label": "Close" });
  const dialog = el(
    "dialog",
    { class: "viewer", "aria-label": "Image", tabIndex: -1, onclose: restoreGrid, onkeydown: handleKey },
    stage,
    el("aside", {}, closeButton, details),
  );

  function restoreGrid() {
    dialog.remove();
    if (openDialog === dialog) openDialog = null;
    // The scroll bar is back and the page is narrower. The rows need their new size before an image gets the focus, or the
    // page scrolls to the wrong place.
    grid.layout();
    grid.focus(index);
  }

  /** @param {KeyboardEvent} event */
  function handleKey(event) {
    if (isTyping(event)) return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "m") searchSimilar();
    else if (TERM_KEYS[event.key]) addToSearch(TERM_KEYS[event.key]);
  }

  /** @param {"like" | "not_like"} field */
  function addToSearch(field) {
    dialog.close();
    add(index, field);
  }

  /** @param {string} [minScore] */
  function searchSimilar(minScore) {
    return searchByImage(grid.results[index].id, minScore);
  }

  function searchPart() {
    const { id, s3_key: name, original: source, thumbnail: fallback } = grid.results[index];
    const onChoose = (/** @type {string} */ region) => searchByImage(`${id}~${region}`);
    chooseRegion({ source, fallback: fallback ?? undefined, name, onChoose });
  }

  /**
   * @param {string} image
   * @param {string} [minScore]
   */
  async function searchByImage(image, minScore = "") {
    const { collection, provider } = query;
    dialog.close();
    // Each copy is shown on its own if the user looks for copies.
    const collapse = minScore ? "none" : undefined;
    await navigate(queryAddress({ meta: [], collection, provider, like: [image], min_score: minScore, collapse }));
    focusFirstImage();
  }

  /** @param {1 | -1} offset */
  async function step(offset) {
    if (index + offset < 0) return;
    if (index + offset >= grid.shownCount) await grid.loadMore();
    if (index + offset >= grid.shownCount) return;
    index += offset;
    render();
  }

  async function render() {
    const result = grid.results[index];
    previous.disabled = index === 0;
    // A button that becomes disabled loses the focus, and then no key reaches the dialog.
    const focused = document.activeElement;
    if (!dialog.contains(focused) || (focused === previous && previous.disabled)) dialog.focus();
    delete image.dataset.fallback;
    errorText.hidden = true;
    image.hidden = false;
    fitImage(image, result);
    image.src = result.original;
    image.alt = result.s3_key;
    dialog.setAttribute("aria-label", result.s3_key);
    const facts = el(
      "dl",
      {},
      factElements([
        ["Score", result.score?.toFixed(4), SCORE_EXPLANATION],
        ["Relevance", formatRelevance(result), RELEVANCE_EXPLANATION],
        ["Size", `${result.width} × ${result.height}`],
        ["Format", result.format],
        ["URI", result.s3_uri],
      ]),
    );
    details.replaceChildren(
      el("h1", { class: "key" }, result.s3_key),
      el("div", { class: "row" }, copyButton(result.s3_key)),
      el(
        "div",
        { class: "row" },
        button("More like this", () => addToSearch("like"), { title: MORE_EXPLANATION }),
        button("Less like this", () => addToSearch("not_like"), { title: LESS_EXPLANATION }),
        button("Similar images", () => searchSimilar(), { title: "Starts a search by this image alone (m)" }),
        button("Search a part…", searchPart, { title: "Starts a search by a part of this image" }),
        button("Find duplicates", () => searchSimilar(DUPLICATE_MIN_SCORE)),
      ),
      ...duplicatesList(result),
      ...termScores(result, query),
      facts,
    );
    announce(`${result.s3_key}, ${index + 1} of ${grid.shownCount}`);
    try {
      const record = await fetchRecord(result);
      if (grid.results[index] === result) facts.append(...factElements(recordFacts(record)));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (grid.results[index] === result) details.append(el("p", { class: "warning" }, error.message));
    }
  }

  /** Shows the thumbnail, and why the original cannot be shown. */
  async function showThumbnail() {
    const result = grid.results[index];
    if (image.dataset.fallback) {
      image.hidden = true;
      return;
    }
    image.dataset.fallback = "yes";
    image.src = result.thumbnail ?? "";
    const reason = await explainImageError(result);
    if (grid.results[index] !== result) return;
    errorText.textContent = reason;
    errorText.hidden = false;
  }

  openDialog?.close();
  openDialog = dialog;
  document.body.append(dialog);
  dialog.showModal();
  dialog.focus();
  render();
}

/**
 * @param {GridImage} result
 * @returns {Promise<ImageReply>}
 */
function fetchRecord(result) {
  // The address of the original names the collection.
  const { searchParams } = new URL(result.original, location.href);
  return fetchJson(`/images/${encodeURIComponent(result.id)}?${searchParams}`);
}

/**
 * @param {ImageReply} record
 * @returns {Fact[]}
 */
function recordFacts(record) {
  return [
    ["File size", formatBytes(record.size_bytes)],
    ["Frames", record.frames > 1 ? record.frames : null],
    ["Indexed", formatDateTime(record.indexed_at)],
    ["SHA-256", record.content_sha256],
    ...Object.entries(record.meta),
  ];
}

/**
 * For a search by several terms: the cosine of the image and each of them.
 * @param {GridImage} result
 * @param {import("./query.js").Query} query
 */
function termScores({ terms: cosines = [] }, query) {
  const terms = queryTerms(query);
  if (terms.length < 2 || cosines.length !== terms.length) return [];
  const rows = terms.map((term, position) => [
    el("dt", {}, termLabel(term, query.collection)),
    el("dd", {}, cosines[position].toFixed(4)),
  ]);
  return [el("h2", {}, "Why"), el("dl", { class: "terms", title: TERMS_EXPLANATION }, rows)];
}

/** @param {Fact[]} facts */
function factElements(facts) {
  return facts
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value, title]) => [el("dt", { title }, name), el("dd", { title }, String(value))]);
}

/**
 * Shows the image at its own size, or smaller if it does not fit.
 * @param {HTMLImageElement} image
 * @param {GridImage} result
 */
function fitImage(image, { width, height, format }) {
  const scale = Math.max(1, Math.floor(MIN_SHOWN_SIZE / Math.max(width, height)));
  const ratio = width / height;
  image.width = width;
  image.height = height;
  image.style.width = `min(100cqw, ${width * scale}px, ${100 * ratio}cqh)`;
  image.classList.toggle("pixelated", scale > 1);
  image.classList.toggle("thin", Math.max(ratio, 1 / ratio) > MAX_TRUE_RATIO);
  image.classList.toggle("transparent", FORMATS_WITH_TRANSPARENCY.includes(format));
}

/**
 * Why the browser does not show an original: the service cannot send it, or the browser cannot decode it.
 * @param {GridImage} result
 * @returns {Promise<string>}
 */
async function explainImageError(result) {
  try {
    await fetchJson(result.original, { headers: { range: "bytes=0-0" } });
    return "This browser cannot show the original file. It shows the thumbnail instead.";
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
}
