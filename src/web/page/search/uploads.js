// Offers to store dropped files in the bucket, and shows the progress and the result.

import { ApiError, fetchJson } from "../api.js";
import { announce, button, el, field } from "../dom.js";
import { formatCount } from "../format.js";

/** Number of files that are sent at the same time. */
const CONCURRENCY = 3;
/** Maximum number of refused files that are listed one by one. */
const MAX_LISTED = 20;
/** The folder of new objects, if every key is allowed. */
const DEFAULT_FOLDER = "images/";

/**
 * What the service says about uploads.
 * @typedef {object} Target
 * @property {string[]} prefixes The prefixes of keys that are allowed.
 * @property {string} collection The collection that the images are added to.
 */

/** @param {{ onAdded: () => unknown }} options `onAdded` is called when images were added. */
export function createUploads({ onAdded }) {
  const element = el("section", { class: "uploads", "aria-label": "Add to the bucket", hidden: true });
  return { element, offer, clear };

  function clear() {
    element.hidden = true;
    element.replaceChildren();
  }

  /**
   * Offers to add files.
   * @param {File[]} files
   * @param {Target} target
   * @param {(() => unknown) | null} search Searches with the first file; null if that is done already.
   */
  function offer(files, { prefixes, collection }, search) {
    const folder = el("input", { type: "text", name: "folder", value: prefixes[0] || DEFAULT_FOLDER, maxLength: 512 });
    const name = files.length === 1 ? `“${files[0].name}”` : formatCount(files.length, "file");
    const form = el(
      "form",
      {
        class: "row",
        onsubmit: (event) => {
          event.preventDefault();
          add(files, folder.value, collection);
        },
      },
      el("p", {}, `Add ${name} to the bucket and to “${collection}”?`),
      field("Folder", folder),
      el("button", { type: "submit", class: "primary" }, "Add to the bucket"),
      search && button("Search with it", () => [clear(), search()]),
      button("Dismiss", clear),
    );
    element.replaceChildren(form);
    element.hidden = false;
    if (search) announce(`${name}: add to the bucket, or search with the first one?`);
  }

  /**
   * @param {File[]} files
   * @param {string} folder
   * @param {string} collection
   * @param {boolean} [replace] Whether objects with the same keys are replaced.
   */
  async function add(files, folder, collection, replace = false) {
    const prefix = folder && !folder.endsWith("/") ? `${folder}/` : folder;
    const progress = el("progress", { max: files.length, value: 0, "aria-label": "Files that were sent" });
    element.replaceChildren(el("p", {}, `Adding ${formatCount(files.length, "file")}…`), progress);
    /** @type {string[]} */
    const refused = [];
    /** @type {File[]} */
    const existing = [];
    let later = 0;
    const waiting = [...files];
    const send = async () => {
      for (let file = waiting.shift(); file; file = waiting.shift()) {
        try {
          const { indexed } = await putFile(file, prefix + file.name, collection, replace);
          if (!indexed) later += 1;
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          if (error.status === 412) existing.push(file);
          else refused.push(`${file.name}: ${error.message}`);
        }
        progress.value += 1;
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, send));
    const added = files.length - refused.length - existing.length;
    showResult(added, later, refused, collection);
    if (existing.length) element.append(replaceQuestion(existing, prefix, collection));
    if (added) onAdded();
  }

  /**
   * Asks whether objects with the same keys are replaced.
   * @param {File[]} existing
   * @param {string} folder
   * @param {string} collection
   */
  function replaceQuestion(existing, folder, collection) {
    const name = existing.length === 1 ? `“${existing[0].name}”` : formatCount(existing.length, "file");
    const text = `The bucket has ${name} in this folder already.`;
    announce(text);
    const replace = button("Replace", () => add(existing, folder, collection, true), { class: "danger" });
    return el("div", { class: "row" }, el("p", {}, text), replace);
  }

  /**
   * @param {number} added
   * @param {number} later
   * @param {string[]} refused
   * @param {string} collection
   */
  function showResult(added, later, refused, collection) {
    const text = added ? `Added ${formatCount(added, "image")} to “${collection}”.` : "No file was added.";
    const more = later ? ` The service has still to index ${later} of them.` : "";
    const hidden = refused.length - MAX_LISTED;
    const list = el(
      "ul",
      { class: "warning" },
      refused.slice(0, MAX_LISTED).map((line) => el("li", {}, line)),
      hidden > 0 && el("li", {}, `and ${hidden} more`),
    );
    const result = el("p", { role: "status" }, text + more);
    element.replaceChildren(result, ...(refused.length ? [list] : []), button("Dismiss", clear));
    announce(refused.length ? `${text} ${formatCount(refused.length, "file")} refused.` : text + more);
  }
}

/**
 * @param {File} file
 * @param {string} key
 * @param {string} collection
 * @param {boolean} replace
 * @returns {Promise<ObjectReply>}
 */
function putFile(file, key, collection, replace) {
  const path = key.split("/").map(encodeURIComponent).join("/");
  const query = new URLSearchParams({ collection });
  /** @type {Record<string, string>} */
  const headers = replace ? {} : { "If-None-Match": "*" };
  return fetchJson(`/objects/${path}?${query}`, { method: "PUT", body: file, headers });
}
