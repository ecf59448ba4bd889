// The search query as the address bar holds it, so that a link or the back button restores it.

import { parseImage } from "./terms.js";

/** Filters with one value each, named as in the API. */
const SINGLE_FILTERS = /** @type {const} */ (["format", "min_width", "min_height", "indexed_after"]);

/** Parameters that a query can have several of: ids of images, texts, and folders. */
const LISTS = /** @type {const} */ (["like", "not_like", "not", "s3_prefix"]);

/** Parameters with one value each that the page sends to the API as they are. */
const API_PARAMETERS = /** @type {const} */ (["collection", "lang", "min_score", "collapse", ...SINGLE_FILTERS]);

const OPTIONS = /** @type {const} */ ([...API_PARAMETERS, "provider", "compare", "limit", "file"]);

const SINGLE = /** @type {const} */ (["q", ...OPTIONS]);

const ADDRESS_PARAMETERS = /** @type {const} */ (["q", ...LISTS, ...OPTIONS]);

/**
 * `like` and `not_like` hold ids of images; `not` texts; `s3_prefix` folders; `compare` two stores, comma-separated; `file` the id of a file that
 * `rememberFile` returned; `meta` pairs of name and value.
 * @typedef {{ [Name in (typeof SINGLE)[number]]?: string }
 *   & { [Name in (typeof LISTS)[number]]?: string[] }
 *   & { meta: Array<[string, string]> }} Query
 */

/**
 * Reads the query from an address.
 * @param {string} [search] The query string of the address.
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
 * @param {{ provider: string | undefined, limit: number, offset: number }} page
 */
export function searchParams(query, { provider, limit, offset }) {
  const params = toParams(query, ["q", "s3_prefix", ...API_PARAMETERS]);
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
  return toParams(query, ["provider", "s3_prefix", ...SINGLE_FILTERS]);
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
