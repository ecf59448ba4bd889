// The names that the page has for the parameters of a search.

import { ApiError } from "../api.js";

/** @type {Record<string, string>} */
export const LABELS = {
  q: "Text",
  lang: "Language of the text",
  like: "Image",
  region: "Part of the image",
  collection: "Collection",
  provider: "Store",
  s3_prefix: "Folder",
  format: "Format",
  min_width: "Minimum width",
  min_height: "Minimum height",
  indexed_after: "Indexed after",
  camera: "Camera",
  taken_after: "Taken from",
  taken_before: "Taken until",
  taken_month: "Month taken",
  near: "Taken near",
  bbox: "Taken in the box",
  meta: "Metadata",
  min_score: "Minimum score",
  min_relevance: "Minimum relevance",
  copies_only: "Only copies of the image",
  collapse: "Copies of an image",
  exact: "Exact search",
  limit: "Maximum number of results",
  order: "Order",
};

/**
 * Waits for a reply. A message that begins with the name of a parameter begins with its name in the form instead.
 * @template T
 * @param {Promise<T>} reply
 * @returns {Promise<T>}
 */
export async function withFormNames(reply) {
  try {
    return await reply;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const message = error.message.replace(/^`?(?:filter\.)?(\w+)`?(?=:? )/, (text, name) => LABELS[name] ?? text);
    throw new ApiError(error.code, message, error.status);
  }
}
