// The status view: the parts of the service and whether they are available.

import { ApiError, fetchJson } from "./api.js";
import { el, notice, showRefreshError } from "./dom.js";
import { formatNumber } from "./format.js";
import { may } from "./role.js";

const REFRESH_INTERVAL_MS = 5000;

/** @typedef {Node | string | number | null | undefined} Cell */

/** @type {import("./main.js").Mount} */
export function mount(root) {
  document.title = "Status · Glimpse";
  const container = el("div", { class: "status" });
  root.append(el("h1", {}, "Status"), container);

  async function refresh() {
    try {
      /** @type {[StatusReply, CollectionsReply | null]} */
      const [status, collections] = await Promise.all([
        fetchJson("/status"),
        fetchJson("/collections").catch(() => null),
      ]);
      container.replaceChildren(...sections(status, collections?.collections ?? []));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      showRefreshError(container, error.message);
    }
  }

  refresh();
  const timer = setInterval(() => {
    if (!document.hidden) refresh();
  }, REFRESH_INTERVAL_MS);
  return { unmount: () => clearInterval(timer) };
}

/**
 * @param {StatusReply} status
 * @param {CollectionReply[]} collections
 */
function sections(status, collections) {
  const { provider, ray, notes } = status;
  return [
    el("p", {}, `Glimpse ${status.version}: `, badge(status.status, status.status === "ready")),
    el("h2", {}, "Embedding provider"),
    factList([
      ["Name", provider.name],
      ["State", availability(provider.ready)],
      ["Model", provider.model],
      ["Dimension", provider.dimension],
      ["Space", provider.space],
      ["Problem", provider.message],
    ]),
    el("h2", {}, "Stores"),
    table(["Store", "State", "Collections", "Images"], status.stores.map(storeRow)),
    ...(ray
      ? [
          el("h2", {}, "Ray cluster"),
          factList([
            ["State", availability(ray.ready)],
            ["Version", ray.version],
            [ray.ready ? "Note" : "Problem", ray.message],
          ]),
        ]
      : []),
    el("h2", {}, "Collections"),
    collections.length
      ? table(["Collection", "Images", "Model", "Dimension", "Recall", "Generations"], collections.map(collectionRow))
      : notice("There is no collection yet. The first job creates one."),
    ...notes.map((note) => el("p", { class: "muted" }, note)),
    el(
      "p",
      { class: "muted" },
      "For programs: ",
      el("a", { href: "./docs/", target: "_blank" }, "API documentation"),
      ", ",
      el("a", { href: "./metrics", target: "_blank" }, "metrics"),
      ".",
    ),
  ];
}

/**
 * @param {StoreReply} store
 * @returns {Cell[]}
 */
function storeRow({ name, ready, message, collections, images }) {
  const state = message ? el("span", {}, availability(ready), ` ${message}`) : availability(ready);
  return [name, state, countText(collections), countText(images)];
}

/**
 * @param {CollectionReply} collection
 * @returns {Cell[]}
 */
function collectionRow({ name, count, model, dimension, recall_at_10: recall = {} }) {
  const link = el("a", { href: `./?collection=${encodeURIComponent(name)}` }, name);
  const generations = el(
    "a",
    { href: `./?view=generations&collection=${encodeURIComponent(name)}` },
    may("admin") ? "Change the model" : "Generations",
  );
  const recalls = el("div", {}, ...Object.entries(recall).map(recallLine));
  return [link, countText(count), model, dimension, recalls, generations];
}

/**
 * How many of the best ten results the searches in a store find.
 * @param {[string, RecallReply]} recall
 */
function recallLine([store, { text, image, p50_ms: p50, level, limited, tested_at: tested }]) {
  const shares = [text && `text ${percent(text.recall)}`, image && `image ${percent(image.recall)}`];
  const shown = `${store}: ${[...shares, `${p50.toFixed(1)} ms`].filter(Boolean).join(", ")}`;
  const effort = level == null ? "with its default effort" : `with the effort ${level}`;
  const limit = limited ? "; more would take longer than VECTOR_DB_RECALL_MAX_MS" : "";
  const title = `The share of the best ten results that searches find, measured ${tested} ${effort}${limit}`;
  return el("div", { title }, shown);
}

/** @param {number} share */
function percent(share) {
  return `${(share * 100).toFixed(1)} %`;
}

/**
 * @param {string} text
 * @param {boolean} good
 */
function badge(text, good) {
  return el("span", { class: `state ${good ? "succeeded" : "failed"}` }, text);
}

/** @param {boolean} ready */
function availability(ready) {
  return badge(ready ? "available" : "not available", ready);
}

/** @param {number | null | undefined} count */
function countText(count) {
  return count == null ? "–" : formatNumber(count);
}

/** @param {Cell} value */
function toChild(value) {
  return value instanceof Node ? value : String(value);
}

/** @param {Array<[string, Cell]>} facts */
function factList(facts) {
  const known = facts.filter(([, value]) => value != null);
  return el(
    "dl",
    { class: "facts" },
    known.map(([name, value]) => [el("dt", {}, name), el("dd", {}, toChild(value))]),
  );
}

/**
 * @param {string[]} headings
 * @param {Cell[][]} rows
 */
function table(headings, rows) {
  return el(
    "div",
    { class: "scroll", tabIndex: 0, role: "region", "aria-label": headings[0] },
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          headings.map((heading) => el("th", { scope: "col" }, heading)),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map((cells) =>
          el(
            "tr",
            {},
            cells.map((cell) => el("td", {}, toChild(cell))),
          ),
        ),
      ),
    ),
  );
}
