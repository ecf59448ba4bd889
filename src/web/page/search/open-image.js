// The open image in the address of the page, so that it can be linked and reloaded.

import { queryAddress } from "./query.js";

const PARAMETER = "image";

/** The id of the image that the address opens. */
export function openImageId() {
  return new URLSearchParams(location.search).get(PARAMETER);
}

/**
 * Writes the id of the open image to the address, or removes it.
 * @param {string | null} id
 */
export function setOpenImageId(id) {
  const params = new URLSearchParams(location.search);
  if (id) params.set(PARAMETER, id);
  else params.delete(PARAMETER);
  history.replaceState(history.state, "", params.size ? `/?${params}` : "/");
}

/**
 * The address of a query with an open image.
 * @param {import("./query.js").Query} query
 * @param {string} id
 */
export function openImageAddress(query, id) {
  const address = queryAddress(query);
  return `${address}${address.includes("?") ? "&" : "?"}${PARAMETER}=${id}`;
}
