// The search view: the form and its results.

import { ApiError, fetchJson } from "../api.js";
import { announce, button, el, notice } from "../dom.js";
import { formatBytes, formatCount } from "../format.js";
import { acceptFiles } from "./drop-target.js";
import { createFacets } from "./facets.js";
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
  const facets = createFacets({
    read: form.read,
    onSelect: (query) => {
      // At once: the user can press another chip before the page shows the new address.
      form.fill(query);
      return navigate(queryAddress(query));
    },
  });
  root.append(
    el("h1", { class: "visually-hidden" }, "Search"),
    form.element,
    results.summary,
    facets.element,
    results.columns,
  );
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
    // An open image belongs to the results before.
    for (const dialog of document.querySelectorAll("dialog")) if (dialog.matches(".viewer, .region")) dialog.close();
    document.title = query.q ? `${query.q} · Glimpse` : "Glimpse";
    results.clear();
    const collection = query.collection ?? choices.defaultCollection;
    const count = choices.collections.find(({ name }) => name === collection)?.count;
    if (queryTerms(query).length || !count) facets.clear();
    if (hasSearchTerm(query)) return results.search(query, choices.stores);
    if (queryTerms(query).length) {
      announce(NOTHING_WANTED);
      return results.summary.replaceChildren(notice(NOTHING_WANTED));
    }
    results.summary.replaceChildren(...introduction(collection, count));
    return count ? Promise.all([results.browse(query), facets.show(query, collection)]) : undefined;
  }

  /**
   * @param {string} collection
   * @param {number | undefined} count Undefined if the collection does not exist.
   */
  function introduction(collection, count) {
    if (choices.error) return [notice(choices.error.message, button("Try again", update))];
    if (!choices.stores.length) return [];
    if (count) {
      const text = `${formatCount(count, "image")} in “${collection}”. Describe an image, or drop one here.`;
      return [el("p", { class: "muted" }, text)];
    }
    const text =
      count === 0 ? `The collection “${collection}” is empty.` : `The collection “${collection}” has no images yet.`;
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
