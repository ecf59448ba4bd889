// The search query as the address bar holds it, so that a link or the back button restores it.

import { parseImage, queryTerms, splitExcluded } from "./terms.js";

/** Filters with one value each, named as in the API. */
const SINGLE_FILTERS = /** @type {const} */ ([
  "min_width",
  "min_height",
  "indexed_after",
  "taken_after",
  "taken_before",
  "near",
  "bbox",
]);

/** Filters with several values each. */
const LIST_FILTERS = /** @type {const} */ (["s3_prefix", "format", "camera", "taken_month"]);

/** Parameters that a query can have several of. */
const LISTS = /** @type {const} */ (["like", "not_like", "not", ...LIST_FILTERS]);

/** Parameters with one value each that the page sends to the API as they are. */
const SEARCH_OPTIONS = /** @type {const} */ ([
  "lang",
  "min_score",
  "min_relevance",
  "copies_only",
  "collapse",
  "exact",
  ...SINGLE_FILTERS,
]);

const OPTIONS = /** @type {const} */ ([
  "collection",
  ...SEARCH_OPTIONS,
  "provider",
  "compare",
  "limit",
  "file",
  "order",
]);

const SINGLE = /** @type {const} */ (["q", ...OPTIONS]);

const ADDRESS_PARAMETERS = /** @type {const} */ (["q", ...LISTS, ...OPTIONS]);

/** Parameters of the address that are not part of the query. */
const OTHER_PARAMETERS = ["view", "image"];

/** @typedef {[name: string, value: string]} Parameter */

/**
 * `like` and `not_like` hold ids of images; `not` texts; `s3_prefix` folders; `compare` two stores or generations, comma-separated; `file` the id of a file that
 * `rememberFile` returned; `meta` pairs of name and value.
 * @typedef {{ [Name in (typeof SINGLE)[number]]?: string }
 *   & { [Name in (typeof LISTS)[number]]?: string[] }
 *   & { meta: Parameter[] }} Query
 */

/**
 * Reads the query from an address. Its text can exclude words, as a typed text can.
 * @param {string | Parameter[]} [search] The query string of the address, or its parameters.
 * @returns {Query}
 */
export function parseQuery(search = location.search) {
  const params = new URLSearchParams(search);
  /** @type {Query} */
  const query = { meta: [] };
  for (const name of SINGLE) {
    const value = params.get(name);
    if (value) query[name] = value;
  }
  for (const name of LISTS) {
    const values = params.getAll(name).filter(Boolean);
    if (values.length) query[name] = [...new Set(values)];
  }
  for (const [name, value] of params) {
    if (name.startsWith("meta.") && value) query.meta.push([name.slice("meta.".length), value]);
  }
  const { q, not } = splitExcluded(query.q ?? "");
  return withUsableOptions(not.length ? { ...query, q, not: [...new Set([...(query.not ?? []), ...not])] } : query);
}

/**
 * The query without options that the API refuses for its terms: a search by several terms has no relevance, only one whole
 * image has copies, and only a list of images has an order.
 * @param {Query} query
 * @returns {Query}
 */
function withUsableOptions(query) {
  const terms = queryTerms(query);
  const isOneImage = terms.length === 1 && terms[0].field === "like" && !parseImage(terms[0].value).region;
  return {
    ...query,
    min_relevance: terms.length > 1 ? "" : query.min_relevance,
    copies_only: terms.length && !isOneImage ? "" : query.copies_only,
    order: terms.length ? "" : query.order,
  };
}

/**
 * The address of a query.
 * @param {Query} query
 */
export function queryAddress(query) {
  const params = toParams(withUsableOptions(query), ADDRESS_PARAMETERS).toString();
  return params ? `./?${params}` : "./";
}

/** The names of the parameters in the address that no query has. */
export function unknownParameters() {
  /** @type {string[]} */
  const known = [...ADDRESS_PARAMETERS, ...OTHER_PARAMETERS];
  const names = new Set(new URLSearchParams(location.search).keys());
  return [...names].filter((name) => !known.includes(name) && !name.startsWith("meta."));
}

/**
 * The filters and the limits of a query, as parameters of its address.
 * @param {Query} query
 * @returns {Parameter[]}
 */
export function conditions(query) {
  return [...toParams(query, [...LIST_FILTERS, ...SEARCH_OPTIONS, "limit"])];
}

/**
 * Whether the query selects some images of the collection.
 * @param {Query} query
 */
export function hasFilter(query) {
  return toParams(query, [...LIST_FILTERS, ...SINGLE_FILTERS]).size > 0;
}

/**
 * The query without the options that belong to what it searches for, for a search by something else: the scores of texts and images
 * differ.
 * @param {Query} query
 * @returns {Query}
 */
export function withoutTermOptions(query) {
  return { ...query, min_score: "", min_relevance: "", copies_only: "" };
}

/**
 * A search for the copies of an image in its collection.
 * @param {Query} query
 * @param {string} id
 * @returns {Query}
 */
export function copiesQuery({ collection, provider }, id) {
  return { meta: [], collection, provider, like: [id], copies_only: "true" };
}

/**
 * Whether the query is a search for the copies of one image.
 * @param {Query} query
 */
export function isCopiesQuery({ copies_only }) {
  return copies_only === "true";
}

/**
 * Which images are one result. If two stores are compared, or copies are searched for, each image is a result of its own.
 * @param {Query} query
 */
export function collapseKind(query) {
  return query.collapse ?? (query.compare || isCopiesQuery(query) ? "none" : "identical");
}

/**
 * The parameters of a search by one term.
 * @param {Query} query
 * @param {import("./request.js").Page} page
 */
export function searchParams(query, { provider, generation, limit, offset }) {
  const params = toParams(query, ["q", "collection", ...LIST_FILTERS, ...SEARCH_OPTIONS]);
  const { id, region } = parseImage(query.file || query.like?.[0] || "");
  if (id && !query.file) params.set("like", id);
  if (region) params.set("region", region);
  params.set("collapse", collapseKind(query));
  if (provider) params.set("provider", provider);
  if (generation) params.set("generation", String(generation));
  params.set("limit", String(limit));
  if (offset) params.set("offset", String(offset));
  return params;
}

/**
 * The filters of a query and its store, for lists and counts of images without a search.
 * @param {Query} query
 */
export function browseParams(query) {
  return toParams(query, ["provider", ...LIST_FILTERS, ...SINGLE_FILTERS]);
}

/**
 * @param {Query} query
 * @param {ReadonlyArray<(typeof SINGLE)[number] | (typeof LISTS)[number]>} names
 */
function toParams(query, names) {
  const params = new URLSearchParams();
  for (const name of names) {
    for (const value of [query[name] ?? []].flat()) if (value) params.append(name, value);
  }
  for (const [name, value] of query.meta) params.append(`meta.${name}`, value);
  return params;
}

/**
 * Files that the user searched by. An address can only refer to them until the page is reloaded.
 * @type {Map<string, File>}
 */
const files = new Map();

/**
 * Keeps a file and returns its id for the address.
 * @param {File} file
 */
export function rememberFile(file) {
  const id = String(Date.now());
  files.set(id, file);
  return id;
}

/** @param {string} id */
export function recallFile(id) {
  return files.get(parseImage(id).id);
}
