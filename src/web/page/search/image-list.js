// The images of a collection without a search, the newest first. More load as the user scrolls.

import { fetchJson } from "../api.js";
import { el } from "../dom.js";
import { formatNumber } from "../format.js";
import { withFormNames } from "./fields.js";
import { createImageGrid } from "./image-grid.js";
import { createPaging } from "./paging.js";
import { browseParams } from "./query.js";

const PAGE_SIZE = 60;

/**
 * @param {object} options
 * @param {import("./query.js").Query} options.query
 * @param {AbortSignal} options.signal Ends the loading of more images.
 * @param {import("../main.js").Navigate} options.navigate
 */
export async function createImageList({ query, signal, navigate }) {
  let page = await fetchPage(query, null, signal);
  const grid = createImageGrid("Newest images", { query, navigate });
  const paging = createPaging({
    hasMore: page.next_cursor !== null,
    loadPage: async () => {
      page = await fetchPage(query, page.next_cursor ?? null, signal);
      append();
      return { loaded: page.count, hasMore: page.next_cursor !== null };
    },
    endText: () =>
      grid.results.length > PAGE_SIZE ? `These are all ${formatNumber(grid.results.length)} images.` : null,
    signal,
  });
  grid.loadMore = paging.loadMore;
  append();

  function append() {
    grid.append(page.images, { complete: page.next_cursor === null });
  }

  return { grid, element: el("section", {}, grid.element, paging.end), warnings: page.warnings ?? [] };
}

/**
 * @param {import("./query.js").Query} query
 * @param {string | null} cursor
 * @param {AbortSignal} signal
 * @returns {Promise<ImagesReply>}
 */
function fetchPage(query, cursor, signal) {
  const params = browseParams(query);
  params.set("limit", String(PAGE_SIZE));
  if (query.collection) params.set("collection", query.collection);
  if (cursor) params.set("cursor", cursor);
  return withFormNames(fetchJson(`/images?${params}`, { signal }));
}
