// Saves results as a CSV file. The columns are those of `glimpse search --output-format csv` and of `glimpse images list`.

import { ApiError } from "../api.js";
import { announce, button, el } from "../dom.js";
import { formatNumber } from "../format.js";

/** The rows of one file: they are in memory until the browser saves them. */
const MAX_ROWS = 50_000;
/** Texts that a spreadsheet computes as a formula. Keys and metadata are written by others. */
const FORMULA_START = /^[=+\-@\t\r]/;

/** @typedef {Record<string, unknown>} Row */

/** A column: its name, and where its value is in the reply of the API. @typedef {[name: string, path: string[]]} Column */

/** @param {string[]} names @returns {Column[]} */
const fields = (...names) => names.map((name) => [name, [name]]);

/** @type {Column[]} */
export const RESULT_COLUMNS = fields(
  "rank",
  "score",
  "relevance",
  "id",
  "s3_uri",
  "s3_key",
  "format",
  "width",
  "height",
  "taken_at",
  "camera",
  "stores",
  "identical",
  "duplicates_total",
  "thumbnail_key",
);

/** @type {Column[]} */
export const IMAGE_COLUMNS = [
  ...fields("id", "collection", "s3_uri", "s3_bucket", "s3_key", "format", "width", "height", "frames", "size_bytes"),
  ...fields("etag", "content_sha256", "indexed_at", "taken_at", "camera"),
  ["lens", ["exif", "lens"]],
  ["rating", ["exif", "rating"]],
  ["lat", ["exif", "location", "lat"]],
  ["lon", ["exif", "location", "lon"]],
  ["title", ["exif", "title"]],
  ["caption", ["exif", "caption"]],
  ["keywords", ["exif", "keywords"]],
  ...fields("thumbnail_key", "meta"),
];

/**
 * A button that loads every page and saves the rows.
 * @param {object} options
 * @param {string} options.name The name of the file, without its extension.
 * @param {Column[]} options.columns
 * @param {() => AsyncIterable<Row[]>} options.pages Loads the pages from the first one on.
 */
export function downloadButton({ name, columns, pages }) {
  const label = "Download CSV";
  const status = el("span", { class: "muted", role: "status" });
  const element = button(label, download);
  return el("div", { class: "row export" }, element, status);

  async function download() {
    element.disabled = true;
    status.textContent = "";
    try {
      const { lines, count, isCut } = await collect();
      save(`${name}.csv`, lines);
      const note = isCut ? ` These are not all: use “glimpse search --all” or “glimpse images list --all”.` : "";
      status.textContent = `Saved ${formatNumber(count)} rows.${note}`;
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      status.textContent = error.message;
      announce(error.message);
    } finally {
      element.disabled = false;
      element.textContent = label;
    }
  }

  async function collect() {
    const lines = [toLine(columns.map(([column]) => column))];
    for await (const rows of pages()) {
      for (const row of rows) {
        if (lines.length > MAX_ROWS) return { lines, count: MAX_ROWS, isCut: true };
        lines.push(toLine(columns.map(([, path]) => toCell(readPath(row, path)))));
      }
      element.textContent = `Loading… ${formatNumber(lines.length - 1)}`;
    }
    return { lines, count: lines.length - 1, isCut: false };
  }
}

/**
 * @param {Row} row
 * @param {string[]} path
 */
function readPath(row, path) {
  /** @type {unknown} */
  let value = row;
  for (const name of path) value = /** @type {Row | null | undefined} */ (value)?.[name];
  return value;
}

/**
 * The text of a cell. The values of a list are separated by `; `, and an object is JSON.
 * @param {unknown} value
 */
function toCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "string") return withoutFormula(value);
  if (Array.isArray(value)) return withoutFormula(value.join("; "));
  return Object.keys(value).length ? JSON.stringify(value) : "";
}

/** @param {string} text */
function withoutFormula(text) {
  return FORMULA_START.test(text) ? `'${text}` : text;
}

/** @param {string[]} cells */
function toLine(cells) {
  return `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",")}\n`;
}

/**
 * @param {string} name
 * @param {string[]} lines
 */
function save(name, lines) {
  const url = URL.createObjectURL(new Blob(lines, { type: "text/csv" }));
  const link = el("a", { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
