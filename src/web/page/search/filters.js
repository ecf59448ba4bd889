// The filters of the search form.

import { el, field } from "../dom.js";
import { LABELS } from "./fields.js";
import { missingConditions } from "./kept.js";
import { conditions, parseQuery } from "./query.js";

/** Lines of a field that grows with its text. */
const MAX_ROWS = 5;
const VALUE_HINT = "!value excludes it; several lines mean any of them";

/**
 * The filters, filled from a query and read into one.
 */
export function createFilters() {
  const prefix = lines({ name: "s3_prefix", placeholder: "images/2024/", title: `One folder per line; ${VALUE_HINT}` });
  const format = el(
    "select",
    {},
    ["", "jpeg", "png", "webp", "gif", "tiff", "bmp", "heic", "avif", "jxl", "raw"].map((value) =>
      el("option", { value }, value || "any"),
    ),
  );
  const minWidth = el("input", { type: "number", min: 1 });
  const minHeight = el("input", { type: "number", min: 1 });
  const indexedAfter = el("input", { type: "date" });
  const camera = lines({ name: "camera", placeholder: "Canon EOS R5", title: `One camera per line; ${VALUE_HINT}` });
  const takenAfter = el("input", { type: "date", name: "taken_after" });
  const takenBefore = el("input", { type: "date", name: "taken_before" });
  const takenMonth = lines({
    name: "taken_month",
    placeholder: "2024-06",
    title: `One month per line: 2024-06, or 06 for June of any year; ${VALUE_HINT}`,
  });
  const near = el("input", {
    name: "near",
    placeholder: "48.137,11.575,5",
    title: "latitude,longitude,kilometres: within this distance of the position",
    autocomplete: "off",
  });
  const minScore = el("input", { type: "number", min: -1, max: 1, step: "any" });
  // One pair per line, because values can have commas.
  const metadata = lines({
    name: "meta",
    placeholder: "month=4..6",
    title: `name=value, one per line; 4..6 is a range of numbers or dates; ${VALUE_HINT}`,
  });
  metadata.addEventListener("input", () => {
    const valid = metadataPairs().every(([name, value]) => name && value);
    metadata.setCustomValidity(valid ? "" : "Write name=value, one per line.");
  });
  const element = el(
    "details",
    { class: "filters" },
    el("summary", {}, "Filters"),
    el(
      "div",
      { class: "fields" },
      field(LABELS.s3_prefix, prefix),
      field(LABELS.format, format),
      field(LABELS.min_width, minWidth),
      field(LABELS.min_height, minHeight),
      field(LABELS.indexed_after, indexedAfter),
      field(LABELS.camera, camera),
      field(LABELS.taken_after, takenAfter),
      field(LABELS.taken_before, takenBefore),
      field(LABELS.taken_month, takenMonth),
      field(LABELS.near, near),
      field(LABELS.meta, metadata),
      field(LABELS.min_score, minScore),
    ),
  );

  // A browser shows no error at a control that is hidden.
  element.addEventListener("invalid", () => element.setAttribute("open", ""), { capture: true });

  /** @returns {Array<[string, string | undefined]>} */
  function metadataPairs() {
    return readLines(metadata).map((line) => {
      const separator = line.indexOf("=");
      if (separator < 0) return [line, undefined];
      return [line.slice(0, separator).trim(), line.slice(separator + 1).trim()];
    });
  }

  /** @returns {import("./query.js").Query} */
  function read() {
    /** @type {Array<[string, string]>} */
    const meta = [];
    for (const [name, value] of metadataPairs()) if (name && value) meta.push([name, value]);
    return {
      // No key begins with a slash.
      s3_prefix: readLines(prefix).map((folder) => folder.replace(/^(!?)\/+(?=[^/])/, "$1").replace(/\/*$/, "/")),
      format: [format.value],
      min_width: minWidth.value,
      min_height: minHeight.value,
      indexed_after: indexedAfter.value && `${indexedAfter.value}T00:00:00Z`,
      camera: readLines(camera),
      taken_after: takenAfter.value,
      taken_before: takenBefore.value,
      taken_month: readLines(takenMonth),
      near: near.value.trim(),
      min_score: minScore.value,
      meta,
    };
  }

  /** @param {import("./query.js").Query} query */
  function fillControls(query) {
    fillLines(prefix, query.s3_prefix ?? []);
    format.value = query.format?.length === 1 ? query.format[0] : "";
    minWidth.value = query.min_width ?? "";
    minHeight.value = query.min_height ?? "";
    indexedAfter.value = (query.indexed_after ?? "").slice(0, "2024-12-31".length);
    fillLines(camera, query.camera ?? []);
    takenAfter.value = query.taken_after ?? "";
    takenBefore.value = query.taken_before ?? "";
    fillLines(takenMonth, query.taken_month ?? []);
    near.value = query.near ?? "";
    minScore.value = query.min_score ?? "";
    fillLines(
      metadata,
      query.meta.map(([name, value]) => `${name}=${value}`),
    );
    metadata.setCustomValidity("");
  }

  /**
   * Fills the controls, and returns the conditions that they cannot hold.
   * @param {import("./query.js").Query} query
   */
  function fill(query) {
    fillControls(query);
    const kept = missingConditions(query, read());
    if (kept.length) fillControls(parseQuery(missingConditions(query, parseQuery(kept))));
    // Filters that are active are never hidden.
    if (conditions(read()).length) element.open = true;
    return kept;
  }

  return { element, read, fill };
}

/**
 * A field for several values, one per line.
 * @param {{ name: string, placeholder: string, title: string }} attributes
 */
function lines(attributes) {
  const field = el("textarea", { rows: 1, spellcheck: false, ...attributes, oninput: () => resize(field) });
  return field;
}

/** @param {HTMLTextAreaElement} field */
function resize(field) {
  field.rows = Math.max(1, Math.min(MAX_ROWS, field.value.split("\n").length));
}

/** @param {HTMLTextAreaElement} field */
function readLines(field) {
  return field.value
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}

/**
 * @param {HTMLTextAreaElement} field
 * @param {string[]} values
 */
function fillLines(field, values) {
  field.value = values.join("\n");
  resize(field);
}
