// Sends searches to the API, one page of results at a time.

import { ApiError, fetchJson, sendJson } from "../api.js";
import { collapseKind, recallFile, searchParams } from "./query.js";
import { isNegative, parseImage, queryTerms } from "./terms.js";

export const PAGE_SIZE = 50;
/** The API refuses a search by more texts and images. */
const MAX_TERMS = 16;

/**
 * Fetches one page of results from one store.
 * @param {import("./query.js").Query} query
 * @param {string | undefined} provider The store; the default store if undefined.
 * @param {number} offset
 * @param {AbortSignal} signal
 * @returns {Promise<SearchReply>}
 */
export async function fetchResults(query, provider, offset, signal) {
  const limit = Math.min(PAGE_SIZE, Number(query.limit) || PAGE_SIZE);
  const page = { provider, limit, offset };
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
 * @param {{ provider: string | undefined, limit: number, offset: number }} page
 */
async function toBody(query, page) {
  const terms = queryTerms(query);
  const { s3_prefix, format, min_width, min_height, indexed_after, meta, collection, lang, min_score } = query;
  return {
    positive: await Promise.all(terms.filter((term) => !isNegative(term)).map(toInput)),
    negative: await Promise.all(terms.filter(isNegative).map(toInput)),
    filter: {
      s3_prefix,
      format,
      min_width: toNumber(min_width),
      min_height: toNumber(min_height),
      indexed_after,
      meta: groupValues(meta),
    },
    collection,
    lang,
    min_score: toNumber(min_score),
    collapse: collapseKind(query),
    ...page,
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
