// The search view: the form and its results.

import { ApiError, fetchJson } from "../api.js";
import { announce, button, el, notice } from "../dom.js";
import { formatBytes, formatCount } from "../format.js";
import { may } from "../role.js";
import { acceptFiles } from "./drop-target.js";
import { createFacets } from "./facets.js";
import { focusStatusIfLost } from "./focus.js";
import { createSearchForm } from "./form.js";
import { addressNotes } from "./notes.js";
import { openImageAddress, openImageId } from "./open-image.js";
import { readPosition, restorePosition } from "./position.js";
import { hasFilter, parseQuery, queryAddress, rememberFile, withoutTermOptions } from "./query.js";
import { Results } from "./results.js";
import { hasSearchTerm, queryTerms } from "./terms.js";
import { createUploads } from "./uploads.js";
import { closeViewer } from "./viewer.js";

/**
 * @typedef {import("./form.js").Choices & { maxImageBytes?: number, uploads?: string[], error?: ApiError }} LoadedChoices
 * `error` is set if the service did not answer.
 */

const NOTHING_WANTED = "This search only excludes images. Describe an image, or drop one here.";

/** @type {import("../main.js").Mount} */
export function mount(root, navigate) {
  /** @type {LoadedChoices} */
  let choices = { collections: [], stores: [], defaultCollection: "" };
  const results = new Results({ navigate, retry: () => update(false) });
  const notes = el("div", { class: "notes" });
  const uploads = createUploads({ onAdded: loadAndUpdate });
  /** The file that is offered and that the search uses. @type {string | null} */
  let offeredFile = null;
  /** Counts the addresses that are shown. */
  let turn = 0;
  /** The address whose results are all shown, without its open image. @type {string | null} */
  let shownAddress = null;
  const form = createSearchForm({
    onSubmit: (query) => navigate(queryAddress(query)),
    onFile: searchByFile,
    focusResults: () => results.focusFirst(),
  });
  const facets = createFacets({
    read: form.read,
    onSelect: async (query) => {
      if (!form.check()) return;
      // At once: the user can press another chip before the page shows the new address.
      form.fill(query);
      return navigate(queryAddress(query));
    },
  });
  history.scrollRestoration = "manual";
  root.append(
    el("h1", { class: "visually-hidden" }, "Search"),
    form.element,
    uploads.element,
    notes,
    results.summary,
    facets.element,
    results.columns,
  );
  const removeDropTarget = acceptFiles(root, takeFiles);

  async function loadAndUpdate() {
    choices = await loadChoices();
    form.offer(choices);
    return showAddress();
  }

  /**
   * Shows the search that the address holds. If the user went back or forward within a search, only the open image changes.
   * @param {boolean} fromHistory
   */
  async function update(fromHistory) {
    // The service did not answer before; it may answer now.
    if (choices.error) return loadAndUpdate();
    if (fromHistory && shownAddress === openImageAddress(null)) return showImage(parseQuery());
    return showAddress();
  }

  async function showAddress() {
    turn += 1;
    const own = turn;
    shownAddress = null;
    /** @type {Partial<import("./position.js").Position> | null} */
    const position = history.state;
    const query = parseQuery();
    await showResults(query);
    if (own !== turn) return;
    if (position) await restorePosition(position, results.grids);
    if (own !== turn) return;
    shownAddress = openImageAddress(null);
    await showImage(query);
  }

  /**
   * Shows the image that the address opens, or none.
   * @param {import("./query.js").Query} query
   */
  async function showImage(query) {
    const image = openImageId();
    if (image) await results.open(image, query);
    else closeViewer();
  }

  /** @param {import("./query.js").Query} query */
  async function showResults(query) {
    const own = turn;
    form.fill(query);
    if (offeredFile && query.file !== offeredFile) {
      // The offer was about the file of another search.
      offeredFile = null;
      uploads.clear();
    }
    // An open image belongs to the results before.
    closeViewer();
    document.querySelector("dialog.region")?.remove();
    document.title = query.q ? `${query.q} · Glimpse` : "Glimpse";
    results.clear();
    const collection = query.collection ?? choices.defaultCollection;
    const count = choices.collections.find(({ name }) => name === collection)?.count;
    if (queryTerms(query).length || !count) facets.clear();
    notes.replaceChildren(...addressNotes(query, hasSearchTerm(query)));
    if (hasSearchTerm(query)) return results.search(query, choices.stores);
    if (queryTerms(query).length) {
      announce(NOTHING_WANTED);
      return results.summary.replaceChildren(notice(NOTHING_WANTED));
    }
    results.summary.replaceChildren(...introduction(collection, count, hasFilter(query)));
    if (!count) return;
    // If the list fails, its filters fail too, and the error is shown once.
    if (await results.browse(query)) await showFacets(query, collection);
    else if (own === turn) facets.clear();
  }

  /**
   * Shows the values of the images, and how many images match the filters.
   * @param {import("./query.js").Query} query
   * @param {string} collection
   */
  async function showFacets(query, collection) {
    const status = results.summary.firstElementChild;
    const count = await facets.show(query, collection);
    if (!status || count === null || !hasFilter(query)) return;
    status.textContent = `${formatCount(count, "image")} in “${collection}” ${count === 1 ? "matches" : "match"} the filters.`;
    announce(status.textContent);
  }

  /**
   * @param {string} collection
   * @param {number | undefined} count Undefined if the collection does not exist.
   * @param {boolean} isFiltered
   */
  function introduction(collection, count, isFiltered) {
    if (choices.error)
      return [
        notice(
          choices.error.message,
          button("Try again", () => update(false)),
        ),
      ];
    if (!choices.stores.length) return [];
    if (count) {
      const text = isFiltered
        ? `Images in “${collection}” that match the filters.`
        : `${formatCount(count, "image")} in “${collection}”. Describe an image, or drop one here.`;
      return [el("p", { class: "muted" }, text)];
    }
    const text =
      count === 0 ? `The collection “${collection}” is empty.` : `The collection “${collection}” has no images yet.`;
    const link = el("a", { class: "button primary", href: "./?view=jobs" }, "Index a bucket");
    return [notice(text, ...(may("write") ? [link] : []))];
  }

  /**
   * Searches by one file; it and several files can be added to the bucket, if the service allows it.
   * @param {File[]} files
   */
  async function takeFiles(files) {
    const prefixes = may("write") ? (choices.uploads ?? []) : [];
    const target = { prefixes, collection: form.read().collection || choices.defaultCollection };
    uploads.clear();
    offeredFile = null;
    if (files.length === 1 || !prefixes.length) await searchByFile(files[0]);
    if (!prefixes.length) return;
    offeredFile = files.length === 1 ? (parseQuery().file ?? null) : null;
    uploads.offer(files, target, files.length === 1 ? null : () => searchByFile(files[0]));
  }

  /**
   * Searches by a file, together with the text, what it excludes, and the filters of the form.
   * @param {File} file
   */
  async function searchByFile(file) {
    if (!form.check()) return;
    const limit = choices.maxImageBytes;
    if (limit && file.size > limit) {
      const text = `This file is too large: it has ${formatBytes(file.size)}, and the limit is ${formatBytes(limit)}. Use a smaller version of it.`;
      results.clear();
      results.summary.replaceChildren(notice(text));
      focusStatusIfLost();
      return announce(text);
    }
    await navigate(queryAddress(withoutTermOptions({ ...form.read(), like: [], file: rememberFile(file) })));
    focusStatusIfLost();
  }

  loadAndUpdate();
  return {
    update,
    state: () => (shownAddress ? { ...history.state, ...readPosition(results.grids) } : history.state),
    unmount: () => {
      history.scrollRestoration = "auto";
      turn += 1;
      closeViewer();
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
      uploads: status.uploads,
    };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { collections: [], stores: [], defaultCollection: "", error };
  }
}
