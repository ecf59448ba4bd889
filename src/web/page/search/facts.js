// What an open image shows about itself.

import { el } from "../dom.js";
import { formatBytes, formatClock, formatDateTime } from "../format.js";
import { termLabel } from "./chips.js";
import { formatRelevance, RELEVANCE_EXPLANATION, SCORE_EXPLANATION } from "./relevance.js";
import { queryTerms } from "./terms.js";

const TAKEN_EXPLANATION = "By the clock of the camera, with its offset from UTC if the file has it.";
const TERMS_EXPLANATION = "The cosine similarity of the image and each part of the search, from −1 to 1.";

/** @typedef {import("./tile.js").GridImage} GridImage */
/** @typedef {[name: string, value: string | number | null | undefined, explanation?: string]} Fact */

/**
 * What is known before the record is fetched.
 * @param {GridImage} result
 * @returns {Fact[]}
 */
export function resultFacts(result) {
  return [
    ["Score", result.score?.toFixed(4), SCORE_EXPLANATION],
    ["Relevance", formatRelevance(result), RELEVANCE_EXPLANATION],
    ["Size", `${result.width} × ${result.height}`],
    ["Format", result.format],
    ["Taken", result.taken_at && formatClock(result.taken_at), TAKEN_EXPLANATION],
    ["Camera", result.camera],
    ["URI", result.s3_uri],
  ];
}

/**
 * @param {ImageReply} record
 * @returns {Fact[]}
 */
export function recordFacts(record) {
  const { title, caption, keywords = [], lens, location, rating } = record.exif ?? {};
  return [
    ["Title", title],
    ["Caption", caption],
    ["Keywords", keywords.join(", ")],
    ["Lens", lens],
    ["Position", location && `${location.lat}, ${location.lon}`],
    ["Rating", rating],
    ["File size", formatBytes(record.size_bytes)],
    ["Frames", record.frames > 1 ? record.frames : null],
    ["Indexed", formatDateTime(record.indexed_at)],
    ["SHA-256", record.content_sha256],
    ...Object.entries(record.meta),
  ];
}

/**
 * For a search by several terms: the cosine of the image and each of them.
 * @param {GridImage} result
 * @param {import("./query.js").Query} query
 */
export function termScores({ terms: cosines = [] }, query) {
  const terms = queryTerms(query);
  if (terms.length < 2 || cosines.length !== terms.length) return [];
  const rows = terms.map((term, position) => [
    el("dt", {}, termLabel(term, query.collection)),
    el("dd", {}, cosines[position].toFixed(4)),
  ]);
  return [el("h2", {}, "Why"), el("dl", { class: "terms", title: TERMS_EXPLANATION }, rows)];
}

/** @param {Fact[]} facts */
export function factElements(facts) {
  return facts
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value, title]) => [el("dt", { title }, name), el("dd", { title }, String(value))]);
}
