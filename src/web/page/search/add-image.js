// Adds an image to the search.

import { focusFirstImage } from "./focus.js";
import { queryAddress } from "./query.js";
import { withImage } from "./terms.js";

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
  await navigate(queryAddress(withImage(query, field, id)));
  focusFirstImage();
}
