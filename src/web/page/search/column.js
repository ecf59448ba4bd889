// The results of one store. More results load as the user scrolls.

import { el } from "../dom.js";
import { formatNumber } from "../format.js";
import * as compare from "./compare.js";
import { focusFirstImage, Grid } from "./grid.js";
import { createPaging } from "./paging.js";
import { queryAddress } from "./query.js";
import { isDividedByRelevance } from "./relevance.js";
import { fetchResults, PAGE_SIZE } from "./request.js";
import { withImage } from "./terms.js";
import { openViewer } from "./viewer.js";

/** The API refuses pages beyond this offset. */
const MAX_RESULTS = 10_000;

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
  const grid = new Grid({ open: (index) => openViewer(grid, index, { query, navigate, add }), add }, label);
  const pageSize = Math.min(PAGE_SIZE, Number(query.limit) || PAGE_SIZE);
  const results = reply?.results ?? [];
  const marks = otherStore && otherReply ? marksFor(results, otherReply.results, otherStore, pageSize) : [];
  let hasMore = results.length === pageSize && !query.limit && !otherStore;
  const divided = isDividedByRelevance(query);
  const paging = createPaging({
    hasMore,
    loadPage,
    // Less relevant results load only after the user has opened the fold.
    isPaused: () => grid.folded,
    endText: () =>
      grid.results.length > pageSize ? `End of the results: ${formatNumber(grid.results.length)} images.` : null,
    signal,
  });
  const { end } = paging;
  const element = el("section", {}, otherStore ? el("h2", {}, store) : null, grid.element, end);
  if (divided && reply?.no_good_match && results.length) grid.showNoGoodMatch();
  append(results, marks);

  grid.loadMore = paging.loadMore;
  grid.onToggle = hideEndIfFolded;

  /**
   * Adds an image to the search.
   * @param {number} index
   * @param {"like" | "not_like"} field
   */
  async function add(index, field) {
    await navigate(queryAddress(withImage(query, field, grid.results[index].id)));
    focusFirstImage();
  }

  /**
   * @param {ResultReply[]} next
   * @param {import("./compare.js").Mark[]} [rankMarks]
   */
  function append(next, rankMarks) {
    grid.append(divided ? next : next.map(withoutRelevance), { complete: !hasMore, rankMarks });
    hideEndIfFolded();
  }

  /** A hidden end is never in view: less relevant results load only after the user has opened the fold. */
  function hideEndIfFolded() {
    end.hidden = grid.folded;
  }

  async function loadPage() {
    const next = await fetchResults(query, store, grid.results.length, signal);
    hasMore = next.results.length === pageSize && grid.results.length + next.results.length + pageSize <= MAX_RESULTS;
    append(next.results);
    return { loaded: next.results.length, hasMore };
  }

  return { grid, element };
}

/**
 * @param {ResultReply} result
 * @returns {ResultReply}
 */
function withoutRelevance(result) {
  return { ...result, relevance: null };
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
