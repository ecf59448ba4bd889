// The search query as the address bar holds it, so that a link or the back button restores it.

/** Filters with one value each, named as in the API. */
export const FILTERS = /** @type {const} */ (["s3_prefix", "format", "min_width", "min_height", "indexed_after"]);

/** Parameters that the page sends to the API as they are. */
const API_PARAMETERS = /** @type {const} */ (["q", "like", "collection", "min_score", ...FILTERS]);

const PARAMETERS = /** @type {const} */ ([...API_PARAMETERS, "provider", "compare", "limit", "file"]);

/**
 * `compare` holds two stores, comma-separated; `file` the id of a file that `rememberFile` returned; `meta` pairs of name and
 * value.
 * @typedef {{ [Name in (typeof PARAMETERS)[number]]?: string } & { meta: Array<[string, string]> }} Query
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
  for (const name of PARAMETERS) {
    const value = params.get(name);
    if (value) query[name] = value;
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
  const params = toParams(query, PARAMETERS).toString();
  return params ? `/?${params}` : "/";
}

/**
 * Whether the query has something to search for.
 * @param {Query} query
 */
export function hasSearchTerm(query) {
  return Boolean(query.q || query.like || query.file);
}

/**
 * The parameters of a search request.
 * @param {Query} query
 * @param {{ provider: string | undefined, limit: number, offset: number }} page
 */
export function searchParams(query, { provider, limit, offset }) {
  const params = toParams(query, API_PARAMETERS);
  if (provider) params.set("provider", provider);
  params.set("limit", String(limit));
  if (offset) params.set("offset", String(offset));
  return params;
}

/**
 * @param {Query} query
 * @param {ReadonlyArray<(typeof PARAMETERS)[number]>} names
 */
function toParams(query, names) {
  const params = new URLSearchParams();
  for (const name of names) {
    const value = query[name];
    if (value) params.set(name, value);
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
  return files.get(id);
}
