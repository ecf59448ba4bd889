// How relevant results are, and the fold that hides the less relevant ones.

import { button, el } from "../dom.js";
import { formatCount } from "../format.js";

/** Results with at least this relevance are relevant. */
const MIN_RELEVANCE = 0.5;

export const SCORE_EXPLANATION = "Score: the cosine similarity of search and image, from −1 to 1.";
export const RELEVANCE_EXPLANATION =
  "Relevance: how probable it is that the image matches the search, calculated from the score. Images with at least 50 % are relevant.";
export const NO_GOOD_MATCH = "No image matches this search well.";

/**
 * Whether a result is known not to be relevant.
 * @param {import("./tile.js").GridImage} result
 */
export function isLessRelevant({ relevance }) {
  return typeof relevance === "number" && relevance < MIN_RELEVANCE;
}

/**
 * Whether less relevant results are hidden at first. In a search by an image alone, relevance says only which results show
 * the same image; all others may still be what the user looks for.
 * @param {import("./query.js").Query} query
 */
export function foldsLessRelevant(query) {
  return Boolean(query.q);
}

/**
 * 0.876 → "87 %"; null if the relevance is not known.
 * @param {import("./tile.js").GridImage} result
 */
export function formatRelevance({ relevance }) {
  // Rounded down: a result that is not relevant never shows 50 %.
  return typeof relevance === "number" ? `${Math.floor(relevance * 100)}\u00a0%` : null;
}

/**
 * A line below the relevant results, with a button that shows and hides the others.
 * @param {() => void} onToggle
 */
export function createFold(onToggle) {
  const toggle = button("", onToggle, { "aria-expanded": "false" });
  const element = el("div", { class: "fold", hidden: true }, toggle);

  /**
   * @param {number | null} count The number of less relevant results; null if it is not known.
   * @param {boolean} open
   */
  function show(count, open) {
    element.hidden = count === 0;
    toggle.textContent = count === null ? "Less relevant images" : formatCount(count, "less relevant image");
    toggle.setAttribute("aria-expanded", String(open));
  }

  return { element, show, focus: () => toggle.focus() };
}
