// The search view: the form and its results.

import { ApiError, fetchJson } from "../api.js";
import { announce, button, el, notice } from "../dom.js";
import { formatBytes, formatCount } from "../format.js";
import { acceptFiles } from "./drop-target.js";
import { createSearchForm } from "./form.js";
import { parseQuery, queryAddress, rememberFile } from "./query.js";
import { Results } from "./results.js";
import { hasSearchTerm, queryTerms } from "./terms.js";

/**
 * @typedef {import("./form.js").Choices & { maxImageBytes?: number, error?: ApiError }} LoadedChoices
 * `error` is set if the service did not answer.
 */

const NOTHING_WANTED = "This search only excludes images. Describe an image, or drop one here.";

/** @type {import("../main.js").Mount} */
export function mount(root, navigate) {
  /** @type {LoadedChoices} */
  let choices = { collections: [], stores: [], defaultCollection: "" };
  const results = new Results({ navigate, retry: update });
  const form = createSearchForm({
    onSubmit: (query) => navigate(queryAddress(query)),
    onFile: searchByFile,
    focusResults: () => results.focusFirst(),
  });
  root.append(el("h1", { class: "visually-hidden" }, "Search"), form.element, results.summary, results.columns);
  const removeDropTarget = acceptFiles(root, searchByFile);

  async function loadAndUpdate() {
    choices = await loadChoices();
    form.offer(choices);
    return showAddress();
  }

  /** Shows the search that the address holds. */
  async function update() {
    // The service did not answer before; it may answer now.
    if (choices.error) return loadAndUpdate();
    return showAddress();
  }

  async function showAddress() {
    const query = parseQuery();
    form.fill(query);
    document.title = query.q ? `${query.q} · Glimpse` : "Glimpse";
    results.clear();
    if (hasSearchTerm(query)) return results.search(query, choices.stores);
    if (queryTerms(query).length) {
      announce(NOTHING_WANTED);
      return results.summary.replaceChildren(notice(NOTHING_WANTED));
    }
    return results.summary.replaceChildren(...introduction(query.collection));
  }

  /** @param {string | undefined} collection */
  function introduction(collection) {
    if (choices.error) return [notice(choices.error.message, button("Try again", update))];
    if (!choices.stores.length) return [];
    const name = collection ?? choices.defaultCollection;
    const known = choices.collections.find((one) => one.name === name);
    if (known?.count) {
      const text = `${formatCount(known.count, "image")} in “${name}”. Describe an image, or drop one here.`;
      return [el("p", { class: "muted" }, text)];
    }
    const text = known ? `The collection “${name}” is empty.` : `The collection “${name}” has no images yet.`;
    return [notice(text, el("a", { class: "button primary", href: "/?view=jobs" }, "Index a bucket"))];
  }

  /**
   * Searches by a file, together with the text, what it excludes, and the filters of the form.
   * @param {File} file
   */
  function searchByFile(file) {
    const limit = choices.maxImageBytes;
    if (limit && file.size > limit) {
      const text = `This file is too large: it has ${formatBytes(file.size)}, and the limit is ${formatBytes(limit)}. Use a smaller version of it.`;
      results.clear();
      results.summary.replaceChildren(notice(text));
      return announce(text);
    }
    return navigate(queryAddress({ ...form.read(), like: [], min_score: "", file: rememberFile(file) }));
  }

  loadAndUpdate();
  return {
    update,
    unmount: () => {
      removeDropTarget();
      results.clear();
    },
  };
}

/** @returns {Promise<LoadedChoices>} */
async function loadChoices() {
  try {
    /** @type {[StatusReply, CollectionsReply]} */
    const [status, { collections }] = await Promise.all([
      fetchJson("/status"),
      fetchJson("/collections").catch(() => ({ provider: "", collections: [] })),
    ]);
    return {
      collections,
      stores: status.stores,
      defaultCollection: status.collection,
      maxImageBytes: status.max_image_bytes,
    };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { collections: [], stores: [], defaultCollection: "", error };
  }
}
