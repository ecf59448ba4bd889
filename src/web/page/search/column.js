// The results of one store. More results load as the user scrolls.

import { el } from "../dom.js";
import { formatNumber } from "../format.js";
import * as compare from "./compare.js";
import { downloadButton, RESULT_COLUMNS } from "./export.js";
import { createImageGrid } from "./image-grid.js";
import { createPaging } from "./paging.js";
import { collapseKind, isCopiesQuery } from "./query.js";
import { foldsLessRelevant, isLessRelevant } from "./relevance.js";
import { fetchResults, pageSize } from "./request.js";

/** The largest page of the API, for a download. */
const MAX_PAGE_SIZE = 100;
/** The API refuses pages that end beyond this result. */
const MAX_RESULTS = 10_000;
/** The same, if similar images are one result. */
const MAX_COLLAPSED_RESULTS = 200;

/**
 * @param {object} options
 * @param {import("./query.js").Query} options.query
 * @param {string | undefined} options.store
 * @param {string | undefined} options.otherStore Set if two stores are compared.
 * @param {SearchReply | null} options.reply
 * @param {SearchReply | null} options.otherReply
 * @param {AbortSignal} options.signal Ends the loading of more results.
 * @param {import("../main.js").Navigate} options.navigate
 */
export function createColumn({ query, store, otherStore, reply, otherReply, signal, navigate }) {
  const label = otherStore ? `Results of ${store}` : "Results";
  const grid = createImageGrid(label, { query, navigate });
  const size = pageSize(query);
  const maxResults = collapseKind(query) === "similar" ? MAX_COLLAPSED_RESULTS : MAX_RESULTS;
  const results = reply?.results ?? [];
  const marks = otherStore && otherReply ? marksFor(results, otherReply.results, otherStore, size) : [];
  let hasMore = results.length === size && !query.limit && !otherStore;
  const paging = createPaging({
    hasMore,
    loadPage,
    // Less relevant results load only after the user has opened the fold.
    isPaused: () => grid.folded,
    endText: () =>
      grid.results.length > size ? `End of the results: ${formatNumber(grid.results.length)} images.` : null,
    signal,
  });
  const { end } = paging;
  const download = results.length
    ? downloadButton({ name: store ? `search-${store}` : "search", columns: RESULT_COLUMNS, pages: allPages })
    : null;
  const element = el("section", {}, otherStore ? el("h2", {}, store) : null, download, grid.element, end);
  if (foldsLessRelevant(query)) {
    if (reply?.no_good_match && results.length) grid.showNoGoodMatch();
  } else {
    grid.isDivided = results.length > 0 && !isLessRelevant(results[0]) && !isCopiesQuery(query);
    grid.open = true;
  }
  append(results, marks);

  grid.loadMore = paging.loadMore;
  grid.onToggle = hideEndIfFolded;

  /**
   * @param {ResultReply[]} next
   * @param {import("./compare.js").Mark[]} [rankMarks]
   */
  function append(next, rankMarks) {
    grid.append(next, { complete: !hasMore, rankMarks });
    hideEndIfFolded();
  }

  /** A hidden end is never in view: less relevant results load only after the user has opened the fold. */
  function hideEndIfFolded() {
    end.hidden = grid.folded;
  }

  async function loadPage() {
    const next = await fetchResults(query, store, grid.results.length, signal);
    hasMore = next.results.length === size && grid.results.length + next.results.length + size <= maxResults;
    append(next.results);
    return { loaded: next.results.length, hasMore };
  }

  /** Every result; the first ones only, if the search has a maximum number of results. */
  async function* allPages() {
    const all = { ...query, limit: query.limit ?? String(MAX_PAGE_SIZE) };
    const count = pageSize(all);
    let offset = 0;
    /** @type {SearchReply} */
    let page;
    do {
      page = await fetchResults(all, store, offset, signal);
      const first = offset + 1;
      yield page.results.map((result, index) => ({ ...result, rank: first + index }));
      offset += page.results.length;
    } while (page.results.length === count && !query.limit && offset + count <= maxResults);
  }

  return { grid, element };
}

/**
 * @param {ResultReply[]} results
 * @param {ResultReply[]} others
 * @param {string} otherStore
 * @param {number} pageSize
 */
function marksFor(results, others, otherStore, pageSize) {
  return compare.rankMarks(results, others, otherStore, others.length === pageSize);
}
