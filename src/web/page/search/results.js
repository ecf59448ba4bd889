// The results of a search: one column, or two if two stores are compared, and messages above them.

import { ApiError } from "../api.js";
import { announce, button, el, notice } from "../dom.js";
import { formatCount } from "../format.js";
import { createColumn } from "./column.js";
import { describeOverlap } from "./compare.js";
import { createImageList } from "./image-list.js";
import { isCopiesQuery, queryAddress } from "./query.js";
import { foldsLessRelevant, NO_GOOD_MATCH } from "./relevance.js";
import { fetchResults, pageSize } from "./request.js";
import { openSingleImage, openViewer } from "./viewer.js";

/** Error codes of a store for which another store may answer. */
const STORE_ERRORS = [
  "unavailable",
  "dependency_failed",
  "dependency_timed_out",
  "dependency_refused",
  "dependency_misconfigured",
  "dependency_full",
];

const NOTHING_MATCHES = "No image of the collection matches the filters. Remove one of them.";
const NOTHING_FOUND = "No image matches. Remove a filter, or choose another collection.";
const NO_COPIES = "The collection has no other copy of this image.";

export class Results {
  summary = el("div", { class: "summary" });
  columns = el("div", { class: "results" });
  /** @type {import("./grid.js").Grid[]} */
  #grids = [];
  /** @type {AbortController | null} */
  #search = null;
  #navigate;
  #retry;

  /** @param {{ navigate: import("../main.js").Navigate, retry: () => unknown }} actions */
  constructor({ navigate, retry }) {
    this.#navigate = navigate;
    this.#retry = retry;
  }

  /** Cancels a running search and removes what is shown. */
  clear() {
    this.#search?.abort();
    for (const grid of this.#grids) grid.disconnect();
    this.#grids = [];
    this.columns.replaceChildren();
    this.columns.removeAttribute("aria-busy");
    this.summary.replaceChildren();
  }

  get grids() {
    return this.#grids;
  }

  /**
   * Opens an image of the results, or another one of the collection.
   * @param {string} id
   * @param {import("./query.js").Query} query
   */
  async open(id, query) {
    const context = { query, navigate: this.#navigate };
    for (const grid of this.#grids) {
      const index = grid.results.findIndex((result) => result.id === id);
      if (index >= 0 && index < grid.shownCount) return openViewer(grid, index, context);
    }
    try {
      await openSingleImage(id, context);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.summary.append(el("p", { class: "warning" }, error.message));
      announce(error.message);
    }
  }

  /** Moves the focus to the first image; returns false if there is none. */
  focusFirst() {
    if (!this.#grids[0]?.results.length) return false;
    this.#grids[0].focus(0);
    return true;
  }

  /**
   * @param {import("./query.js").Query} query
   * @param {StoreReply[]} stores
   */
  async search(query, stores) {
    const search = this.#start();
    const names = query.compare?.split(",").slice(0, 2) ?? [query.provider];
    this.columns.classList.toggle("side-by-side", names.length === 2);
    this.columns.setAttribute("aria-busy", "true");
    const outcomes = await Promise.all(names.map((name) => fetchOutcome(query, name, search.signal)));
    if (search.signal.aborted) return;
    this.columns.removeAttribute("aria-busy");

    const replies = outcomes.map((outcome) => (outcome instanceof ApiError ? null : outcome));
    if (outcomes[0] instanceof ApiError && !replies.some(Boolean)) return this.#showError(query, stores, outcomes[0]);
    for (const [side, outcome] of outcomes.entries()) {
      if (outcome instanceof ApiError) {
        const heading = el("h2", {}, names[side]);
        this.columns.append(
          el("section", {}, heading, notice(outcome.message, this.#columnAction(query, outcome.code))),
        );
        continue;
      }
      const { grid, element } = createColumn({
        query,
        store: names[side],
        otherStore: names[1 - side],
        reply: outcome,
        otherReply: replies[1 - side] ?? null,
        signal: search.signal,
        navigate: this.#navigate,
      });
      this.#grids.push(grid);
      this.columns.append(element);
      grid.layout();
    }
    this.#showSummary(query, replies, names);
  }

  /**
   * Shows the images of the collection, without a search. Resolves to whether the store has sent them.
   * @param {import("./query.js").Query} query
   */
  async browse(query) {
    const { signal } = this.#start();
    this.columns.classList.remove("side-by-side");
    this.columns.setAttribute("aria-busy", "true");
    try {
      const { grid, element, warnings } = await createImageList({ query, signal, navigate: this.#navigate });
      if (signal.aborted) {
        grid.disconnect();
        return false;
      }
      this.columns.removeAttribute("aria-busy");
      this.#grids.push(grid);
      this.columns.append(element);
      grid.layout();
      this.summary.append(...warnings.map((text) => el("p", { class: "warning" }, `${text}. Its images are missing.`)));
      if (!grid.results.length) this.columns.replaceChildren(notice(NOTHING_MATCHES));
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      this.columns.removeAttribute("aria-busy");
      if (!(error instanceof ApiError)) throw error;
      this.columns.append(notice(error.message, this.#retryButton()));
      announce(error.message);
      return false;
    }
  }

  #start() {
    this.#search = new AbortController();
    return this.#search;
  }

  /**
   * Shows what is wrong and what the user can do.
   * @param {import("./query.js").Query} query
   * @param {StoreReply[]} stores
   * @param {ApiError} error
   */
  #showError(query, stores, error) {
    this.summary.replaceChildren(
      notice(error.message, el("div", { class: "row" }, ...this.#errorActions(query, stores, error.code))),
    );
    announce(error.message);
  }

  /**
   * @param {import("./query.js").Query} query
   * @param {StoreReply[]} stores
   * @param {string} code
   */
  #errorActions(query, stores, code) {
    if (code === "file_forgotten" || code === "too_many_terms") return [];
    if (code === "unknown_generation") return [this.#columnAction(query, code)];
    if (code === "unknown_collection") return [linkButton("./?view=jobs", "Index a bucket")];
    const other = stores.find((store) => store.ready && store.name !== (query.provider ?? stores[0].name));
    if (!other || !STORE_ERRORS.includes(code) || query.compare || query.provider === "all") {
      return [this.#retryButton()];
    }
    return [
      this.#retryButton(),
      linkButton(queryAddress({ ...query, provider: other.name }), `Search in ${other.name}`),
      linkButton("./?view=status", "Status"),
    ];
  }

  /**
   * What the user can do about a column that cannot be shown.
   * @param {import("./query.js").Query} query
   * @param {string} code
   */
  #columnAction({ collection }, code) {
    if (code !== "unknown_generation") return this.#retryButton();
    const parameters = new URLSearchParams({ view: "generations", collection: collection ?? "" });
    return collection ? linkButton(`./?${parameters}`, "Generations") : null;
  }

  #retryButton() {
    return button("Try again", this.#retry);
  }

  /**
   * Shows how long the search took and which stores are missing.
   * @param {import("./query.js").Query} query
   * @param {Array<SearchReply | null>} outcomes
   * @param {Array<string | undefined>} names
   */
  #showSummary(query, outcomes, names) {
    const replies = outcomes.filter((reply) => reply !== null);
    const found = replies.some((reply) => reply.results.length);
    const searchesCopies = isCopiesQuery(query);
    const text = !found
      ? null
      : replies.length === 2
        ? describeComparison(replies, names)
        : `${searchesCopies ? describeCopies(query, replies[0]) : ""}${describeTiming(replies[0])}`;
    const nothing = searchesCopies ? NO_COPIES : NOTHING_FOUND;
    const warnings = replies.flatMap((reply) => reply.warnings ?? []);
    this.summary.replaceChildren(
      text
        ? el("p", { class: "muted", id: "timing" }, text)
        : notice(nothing, searchesCopies ? null : linkButton("./?view=jobs", "Index a bucket")),
      ...warnings.map((warning) =>
        el("p", { class: "warning" }, `${warning}. These results are from the other stores.`),
      ),
    );
    const noGoodMatch = found && foldsLessRelevant(query) && replies.every((reply) => reply.no_good_match);
    announce(noGoodMatch ? `${NO_GOOD_MATCH} ${text}` : (text ?? nothing));
  }
}

/**
 * @param {import("./query.js").Query} query
 * @param {string | undefined} store
 * @param {AbortSignal} signal
 * @returns {Promise<SearchReply | ApiError | null>} Null if the search was cancelled.
 */
async function fetchOutcome(query, store, signal) {
  try {
    return await fetchResults(query, store, 0, signal);
  } catch (error) {
    if (error instanceof ApiError) return error;
    if (signal.aborted) return null;
    throw error;
  }
}

/**
 * @param {import("./query.js").Query} query
 * @param {SearchReply} reply
 */
function describeCopies(query, { results }) {
  const count = `${results.length === pageSize(query) ? "At least " : ""}${formatCount(results.length, "image")}`;
  return results.length === 1
    ? `${count} in the collection is probably a copy of this image. `
    : `${count} in the collection are probably copies of this image. `;
}

/** @param {SearchReply} reply */
function describeTiming({ took_ms: took, model }) {
  const total = (took.embed + took.search).toFixed(0);
  return `${total} ms: ${took.embed.toFixed(0)} ms to embed the query, ${took.search.toFixed(1)} ms in the store. Model: ${model}.`;
}

/**
 * @param {SearchReply[]} replies
 * @param {Array<string | undefined>} names
 */
function describeComparison(replies, names) {
  const timings = replies.map((reply, side) => `${reply.took_ms.search.toFixed(1)} ms in ${names[side]}`);
  return `${describeOverlap(replies[0].results, replies[1].results)} Search time: ${timings.join(", ")}.`;
}

/**
 * @param {string} href
 * @param {string} label
 */
function linkButton(href, label) {
  return el("a", { class: "button", href }, label);
}
