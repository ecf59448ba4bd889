// Says which parameters of the address have no effect on what is shown.

import { el } from "../dom.js";
import { LABELS } from "./fields.js";
import { unknownParameters } from "./query.js";

/** Parameters of a search that a list of images does not have. */
const SEARCH_ONLY = /** @type {const} */ ([
  "lang",
  "min_score",
  "min_relevance",
  "copies_only",
  "collapse",
  "exact",
  "limit",
]);

/**
 * @param {import("./query.js").Query} query
 * @param {boolean} isSearch
 */
export function addressNotes(query, isSearch) {
  const unused = isSearch ? [] : SEARCH_ONLY.filter((name) => query[name]).map((name) => LABELS[name]);
  const notes = [
    unused.length && `${quoteAll(unused)}: no effect without a search.`,
    unknownParameters().length &&
      `The page does not know these parameters of the address: ${quoteAll(unknownParameters())}.`,
  ];
  return notes.filter(Boolean).map((text) => el("p", { class: "warning" }, String(text)));
}

/** @param {string[]} names */
function quoteAll(names) {
  return names.map((name) => `“${name}”`).join(", ");
}
