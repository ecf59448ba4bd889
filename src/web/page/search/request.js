// Sends searches to the API, one page of results at a time.

import { ApiError, fetchJson, sendJson } from "../api.js";
import { withFormNames } from "./fields.js";
import { collapseKind, recallFile, searchParams } from "./query.js";
import { isNegative, parseImage, queryTerms } from "./terms.js";

const PAGE_SIZE = 50;
/** The API refuses a search by more texts and images. */
const MAX_TERMS = 16;

/**
 * @typedef {object} Page
 * @property {string | undefined} provider The store; the default store if undefined.
 * @property {number} [generation] The number of a generation of the collection; the current one if undefined.
 * @property {number | string} limit A text that is not a number is sent as it is: the API says what is wrong with it.
 * @property {number} offset
 */

/**
 * The number of results of one page.
 * @param {import("./query.js").Query} query
 */
export function pageSize({ limit }) {
  return Number(limit) || PAGE_SIZE;
}

/**
 * Fetches one page of results from one store, or from one generation of the collection.
 * @param {import("./query.js").Query} query
 * @param {string | undefined} provider The store, or `generation` and a number; the default store if undefined.
 * @param {number} offset
 * @param {AbortSignal} signal
 * @returns {Promise<SearchReply>}
 */
export function fetchResults(query, provider, offset, signal) {
  const generation = provider?.match(/^generation (\d+)$/)?.[1];
  const target = generation ? { provider: undefined, generation: Number(generation) } : { provider };
  const page = { ...target, limit: toNumber(query.limit) ?? PAGE_SIZE, offset };
  return withFormNames(sendSearch(query, page, signal));
}

/**
 * @param {import("./query.js").Query} query
 * @param {Page} page
 * @param {AbortSignal} signal
 * @returns {Promise<SearchReply>}
 */
async function sendSearch(query, page, signal) {
  const { length: termCount } = queryTerms(query);
  if (termCount > MAX_TERMS) {
    throw new ApiError("too_many_terms", `A search has at most ${MAX_TERMS} texts and images. Remove some of them.`, 0);
  }
  if (termCount > 1) return sendJson("POST", "/search/images", await toBody(query, page), signal);
  const params = searchParams(query, page);
  if (!query.file) return fetchJson(`/search/images?${params}`, { signal });
  const file = findFile(query.file);
  const body = new FormData();
  body.append("file", file, file.name || "pasted");
  return fetchJson(`/search/images?${params}`, { method: "POST", body, signal });
}

/**
 * The body of a search by several terms.
 * @param {import("./query.js").Query} query
 * @param {Page} page
 */
async function toBody(query, page) {
  const terms = queryTerms(query);
  const { collection, lang, min_score, min_relevance } = query;
  return {
    positive: await Promise.all(terms.filter((term) => !isNegative(term)).map(toInput)),
    negative: await Promise.all(terms.filter(isNegative).map(toInput)),
    filter: toFilter(query),
    collection,
    lang,
    min_score: toNumber(min_score),
    min_relevance: toNumber(min_relevance),
    collapse: collapseKind(query),
    exact: query.exact === "true",
    ...page,
  };
}

/** @param {import("./query.js").Query} query */
function toFilter(query) {
  const { s3_prefix, format, camera, taken_month } = query;
  const { indexed_after, taken_after, taken_before, near, bbox } = query;
  return {
    s3_prefix,
    format,
    camera,
    taken_month,
    min_width: toNumber(query.min_width),
    min_height: toNumber(query.min_height),
    indexed_after,
    taken_after,
    taken_before,
    near,
    bbox,
    meta: groupValues(query.meta),
  };
}

/**
 * The values of each name.
 * @param {Array<[string, string]>} pairs
 * @returns {Record<string, string[]>}
 */
function groupValues(pairs) {
  const values = new Map();
  for (const [name, value] of pairs) values.set(name, [...(values.get(name) ?? []), value]);
  return Object.fromEntries(values);
}

/** @param {import("./terms.js").Term} term */
async function toInput({ field, value }) {
  if (field === "q" || field === "not") return { text: value };
  const { id, region } = parseImage(value);
  const part = region ? { region: toRegion(region) } : {};
  return field === "file" ? { image: await readBase64(findFile(value)), ...part } : { id, ...part };
}

/** @param {string} text `x,y,width,height` */
function toRegion(text) {
  const [x, y, width, height] = text.split(",").map(Number);
  return { x, y, width, height };
}

/**
 * Leaves a text that is not a number as it is, so that the API says what is wrong with it.
 * @param {string | undefined} text
 */
function toNumber(text) {
  if (!text) return undefined;
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

/** @param {string} id */
function findFile(id) {
  const file = recallFile(id);
  if (file) return file;
  throw new ApiError("file_forgotten", "The image of this search is lost after a reload. Choose or drop it again.", 0);
}

/**
 * @param {File} file
 * @returns {Promise<string>}
 */
function readBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    // The result is a data URL: the base64 text follows the comma.
    reader.onload = () => resolve(String(reader.result).split(",")[1]);
    reader.onerror = () =>
      reject(new ApiError("file_forgotten", "The browser cannot read this file. Choose or drop it again.", 0));
    reader.readAsDataURL(file);
  });
}
