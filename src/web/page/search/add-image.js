// Adds an image to the search.

import { focusFirstImage } from "./focus.js";
import { queryAddress } from "./query.js";
import { queryTerms, withImage } from "./terms.js";

/**
 * @typedef {object} SearchContext
 * @property {import("./query.js").Query} query The search that is shown.
 * @property {import("../main.js").Navigate} navigate
 */

/**
 * @param {SearchContext} context
 * @param {"like" | "not_like"} field
 * @param {string} id
 */
export async function addImage({ query, navigate }, field, id) {
  const next = withImage(query, field, id);
  // The relevance of a search by several terms is not known, and the API refuses a minimum.
  const isSingle = queryTerms(next).length === 1;
  await navigate(queryAddress(isSingle ? next : { ...next, min_relevance: "" }));
  focusFirstImage();
}
