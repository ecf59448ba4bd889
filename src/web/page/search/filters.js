// The filters of the search form.

import { el, field } from "../dom.js";

const MAX_METADATA_ROWS = 5;

/**
 * The filters, filled from a query and read into one.
 */
export function createFilters() {
  const prefix = el("input", { placeholder: "images/2024/", spellcheck: false });
  const format = el(
    "select",
    {},
    ["", "jpeg", "png", "webp", "gif"].map((value) => el("option", { value }, value || "any")),
  );
  const minWidth = el("input", { type: "number", min: 1 });
  const minHeight = el("input", { type: "number", min: 1 });
  const indexedAfter = el("input", { type: "date" });
  const minScore = el("input", { type: "number", min: -1, max: 1, step: 0.01 });
  // One pair per line, because values can have commas.
  const metadata = el("textarea", {
    rows: 1,
    placeholder: "taxon=Felis catus",
    spellcheck: false,
    title: "name=value, one per line",
    oninput: () => {
      resizeMetadata();
      const pairs = metadataPairs();
      const names = new Set(pairs.map(([name]) => name));
      const valid = names.size === pairs.length && pairs.every(([name, value]) => name && value !== undefined);
      metadata.setCustomValidity(valid ? "" : "Write name=value, one per line, each name once.");
    },
  });
  const element = el(
    "details",
    { class: "filters" },
    el("summary", {}, "Filters"),
    el(
      "div",
      { class: "fields" },
      field("Folder", prefix),
      field("Format", format),
      field("Minimum width", minWidth),
      field("Minimum height", minHeight),
      field("Indexed after", indexedAfter),
      field("Metadata", metadata),
      field("Minimum score", minScore),
    ),
  );

  function resizeMetadata() {
    metadata.rows = Math.max(1, Math.min(MAX_METADATA_ROWS, metadata.value.split("\n").length));
  }

  /** @returns {Array<[string, string | undefined]>} */
  function metadataPairs() {
    const lines = metadata.value.split("\n").map((line) => line.trim());
    return lines.filter(Boolean).map((line) => {
      const separator = line.indexOf("=");
      if (separator < 0) return [line, undefined];
      return [line.slice(0, separator).trim(), line.slice(separator + 1).trim()];
    });
  }

  /** @returns {import("./query.js").Query} */
  function read() {
    const folder = prefix.value.trim();
    /** @type {Array<[string, string]>} */
    const meta = [];
    for (const [name, value] of metadataPairs()) if (name && value !== undefined) meta.push([name, value]);
    return {
      s3_prefix: folder ? folder.replace(/\/*$/, "/") : "",
      format: format.value,
      min_width: minWidth.value,
      min_height: minHeight.value,
      indexed_after: indexedAfter.value && `${indexedAfter.value}T00:00:00Z`,
      min_score: minScore.value,
      meta,
    };
  }

  /** @param {import("./query.js").Query} query */
  function fill(query) {
    prefix.value = query.s3_prefix ?? "";
    format.value = query.format ?? "";
    minWidth.value = query.min_width ?? "";
    minHeight.value = query.min_height ?? "";
    indexedAfter.value = (query.indexed_after ?? "").slice(0, "2024-12-31".length);
    minScore.value = query.min_score ?? "";
    metadata.value = query.meta.map(([name, value]) => `${name}=${value}`).join("\n");
    metadata.setCustomValidity("");
    resizeMetadata();
    // Filters that are active are never hidden.
    if (Object.values(read()).some((value) => value.length > 0)) element.open = true;
  }

  return { element, read, fill };
}
