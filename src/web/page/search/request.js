// Sends searches to the API, one page of results at a time.

import { ApiError, fetchJson } from "../api.js";
import { recallFile, searchParams } from "./query.js";

export const PAGE_SIZE = 50;

/**
 * Fetches one page of results from one store.
 * @param {import("./query.js").Query} query
 * @param {string | undefined} provider The store; the default store if undefined.
 * @param {number} offset
 * @param {AbortSignal} signal
 * @returns {Promise<SearchReply>}
 */
export async function fetchResults(query, provider, offset, signal) {
  const limit = Math.min(PAGE_SIZE, Number(query.limit) || PAGE_SIZE);
  const params = searchParams(query, { provider, limit, offset });
  if (!query.file) return fetchJson(`/search/images?${params}`, { signal });
  const file = recallFile(query.file);
  if (!file) {
    throw new ApiError(
      "file_forgotten",
      "The image of this search is lost after a reload. Choose or drop it again.",
      0,
    );
  }
  const body = new FormData();
  body.append("file", file, file.name || "pasted");
  return fetchJson(`/search/images?${params}`, { method: "POST", body, signal });
}
