// The search query as the address bar holds it, so that a link or the back button restores it.

import { parseImage } from "./terms.js";

/** Filters with one value each, named as in the API. */
const SINGLE_FILTERS = /** @type {const} */ (["min_width", "min_height", "indexed_after"]);

/** Filters with several values each. */
const LIST_FILTERS = /** @type {const} */ (["s3_prefix", "format"]);

/** Parameters that a query can have several of. */
const LISTS = /** @type {const} */ (["like", "not_like", "not", ...LIST_FILTERS]);

/** In a search by an image, results with at least this relevance show the same image. */
const MIN_COPY_RELEVANCE = "0.5";

/** Parameters with one value each that the page sends to the API as they are. */
const SEARCH_OPTIONS = /** @type {const} */ (["lang", "min_score", "min_relevance", "collapse", ...SINGLE_FILTERS]);

const OPTIONS = /** @type {const} */ (["collection", ...SEARCH_OPTIONS, "provider", "compare", "limit", "file"]);

const SINGLE = /** @type {const} */ (["q", ...OPTIONS]);

const ADDRESS_PARAMETERS = /** @type {const} */ (["q", ...LISTS, ...OPTIONS]);

/** Parameters of the address that are not part of the query. */
const OTHER_PARAMETERS = ["view", "image"];

/** @typedef {[name: string, value: string]} Parameter */

/**
 * `like` and `not_like` hold ids of images; `not` texts; `s3_prefix` folders; `compare` two stores, comma-separated; `file` the id of a file that
 * `rememberFile` returned; `meta` pairs of name and value.
 * @typedef {{ [Name in (typeof SINGLE)[number]]?: string }
 *   & { [Name in (typeof LISTS)[number]]?: string[] }
 *   & { meta: Parameter[] }} Query
 */

/**
 * Reads the query from an address.
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
  return query;
}

/**
 * The address of a query.
 * @param {Query} query
 */
export function queryAddress(query) {
  const params = toParams(query, ADDRESS_PARAMETERS).toString();
  return params ? `/?${params}` : "/";
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
 * The query without a minimum of the score or the relevance, for a search by something else: the scores of texts and images differ.
 * @param {Query} query
 * @returns {Query}
 */
export function withoutMinimum(query) {
  return { ...query, min_score: "", min_relevance: "" };
}

/**
 * A search for the copies of an image in its collection. Each copy is a result.
 * @param {Query} query
 * @param {string} id
 * @returns {Query}
 */
export function copiesQuery({ collection, provider }, id) {
  return { meta: [], collection, provider, like: [id], min_relevance: MIN_COPY_RELEVANCE, collapse: "none" };
}

/**
 * Whether the query is a search for the copies of one image.
 * @param {Query} query
 */
export function isCopiesQuery({ q, file, not, not_like, like = [], min_relevance }) {
  const isAlone = !q && !file && !not?.length && !not_like?.length && like.length === 1;
  return isAlone && Number(min_relevance) >= Number(MIN_COPY_RELEVANCE);
}

/**
 * Which images are one result. If two stores are compared, each image is a result of its own.
 * @param {Query} query
 */
export function collapseKind({ collapse, compare }) {
  return collapse ?? (compare ? "none" : "identical");
}

/**
 * The parameters of a search by one term.
 * @param {Query} query
 * @param {import("./request.js").Page} page
 */
export function searchParams(query, { provider, limit, offset }) {
  const params = toParams(query, ["q", "collection", ...LIST_FILTERS, ...SEARCH_OPTIONS]);
  const { id, region } = parseImage(query.file || query.like?.[0] || "");
  if (id && !query.file) params.set("like", id);
  if (region) params.set("region", region);
  params.set("collapse", collapseKind(query));
  if (provider) params.set("provider", provider);
  params.set("limit", String(limit));
  if (offset) params.set("offset", String(offset));
  return params;
}

/**
 * The filters of a query and its store, for lists of images without a search.
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
