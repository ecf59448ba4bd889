// The images of a collection without a search, in an order that the user chooses. More load as the user scrolls.

import { fetchJson } from "../api.js";
import { el, field } from "../dom.js";
import { formatNumber } from "../format.js";
import { downloadButton, IMAGE_COLUMNS } from "./export.js";
import { LABELS, withFormNames } from "./fields.js";
import { createImageGrid } from "./image-grid.js";
import { createPaging } from "./paging.js";
import { browseParams, queryAddress } from "./query.js";

const PAGE_SIZE = 60;
/** The largest page of the API, for a download. */
const MAX_PAGE_SIZE = 100;

/** The orders of the API, the default first. @type {Record<string, string>} */
const ORDERS = {
  newest: "Indexed last",
  taken: "Taken last",
  key: "Key",
  random: "Random",
};

/**
 * @param {object} options
 * @param {import("./query.js").Query} options.query
 * @param {AbortSignal} options.signal Ends the loading of more images.
 * @param {import("../main.js").Navigate} options.navigate
 */
export async function createImageList({ query, signal, navigate }) {
  let page = await fetchPage(query, null, signal);
  const grid = createImageGrid(`Images, by order: ${ORDERS[query.order ?? "newest"]}`, { query, navigate });
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

  const download = downloadButton({ name: "images", columns: IMAGE_COLUMNS, pages: () => allPages(query, signal) });
  const controls = el("div", { class: "list-controls" }, download, orderField(query, navigate));
  const element = el("section", {}, controls, grid.element, paging.end);
  return { grid, element, warnings: page.warnings ?? [] };
}

/**
 * The control by which the user chooses the order.
 * @param {import("./query.js").Query} query
 * @param {import("../main.js").Navigate} navigate
 */
function orderField(query, navigate) {
  const choose = async () => {
    await navigate(queryAddress({ ...query, order: select.value }));
    // The list and its control are new.
    const control = document.querySelector("select[name=order]");
    if (control instanceof HTMLElement) control.focus();
  };
  const select = el(
    "select",
    { name: "order", onchange: choose },
    Object.entries(ORDERS).map(([value, label]) => el("option", { value: value === "newest" ? "" : value }, label)),
  );
  select.value = query.order === "newest" ? "" : (query.order ?? "");
  return field(LABELS.order, select);
}

/**
 * @param {import("./query.js").Query} query
 * @param {AbortSignal} signal
 */
async function* allPages(query, signal) {
  /** @type {string | null} */
  let cursor = null;
  do {
    const page = await fetchPage(query, cursor, signal, MAX_PAGE_SIZE);
    yield/** @type {import("./export.js").Row[]} */ (/** @type {unknown} */ (page.images));
    cursor = page.next_cursor ?? null;
  } while (cursor);
}

/**
 * @param {import("./query.js").Query} query
 * @param {string | null} cursor
 * @param {AbortSignal} signal
 * @param {number} [size]
 * @returns {Promise<ImagesReply>}
 */
function fetchPage(query, cursor, signal, size = PAGE_SIZE) {
  const params = browseParams(query);
  params.set("limit", String(size));
  if (query.order) params.set("order", query.order);
  if (query.collection) params.set("collection", query.collection);
  if (cursor) params.set("cursor", cursor);
  return withFormNames(fetchJson(`/images?${params}`, { signal }));
}
