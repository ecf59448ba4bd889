// The search form: text, an image, the collection, the store and filters.

import { button, el, field } from "../dom.js";
import { formatNumber } from "../format.js";
import { createChips } from "./chips.js";
import { createFilters } from "./filters.js";
import { focusStatusIfLost } from "./focus.js";
import { createKept } from "./kept.js";
import { conditions, parseQuery, withoutTermOptions } from "./query.js";
import { isNegative, splitExcluded, withoutTerm, withRegion } from "./terms.js";

/** Systems know no media types of most camera RAW files, HEIC, AVIF and JPEG XL, so their extensions are listed too. */
const ACCEPTED_FILES = [
  ...["jpeg", "png", "webp", "gif", "tiff", "bmp", "heic", "heif", "avif", "jxl"].map((type) => `image/${type}`),
  ...[".heic", ".heif", ".hif", ".avif", ".jxl"],
  ...["dng", "cr2", "cr3", "nef", "nrw", "arw", "sr2", "raf", "orf", "rw2", "rwl", "pef", "srw", "3fr", "erf"].map(
    (extension) => `.${extension}`,
  ),
].join();

const COMPARE_PREFIX = "compare:";

/**
 * @typedef {object} Choices What the user can choose from.
 * @property {CollectionReply[]} collections
 * @property {StoreReply[]} stores The default store first.
 * @property {string} defaultCollection
 */

/**
 * Creates the form. It is filled from a query and read into one.
 * @param {object} handlers
 * @param {(query: import("./query.js").Query) => Promise<unknown>} handlers.onSubmit
 * @param {(file: File) => void} handlers.onFile Called if the user chooses a file to search by.
 * @param {() => boolean} handlers.focusResults Moves the focus to the results; returns false if there are none.
 */
export function createSearchForm({ onSubmit, onFile, focusResults }) {
  let defaultCollection = "";
  /** @type {string | undefined} */
  let defaultStore;
  /** The conditions that no control can hold. @type {import("./query.js").Parameter[]} */
  let kept = [];
  /** The terms that are shown as chips. @type {Pick<import("./query.js").Query, "file" | "like" | "not_like" | "not">} */
  let terms = {};
  /** The order of the list of images, which has its own control. @type {string | undefined} */
  let order;

  const text = el("input", {
    id: "query-text",
    type: "search",
    name: "q",
    placeholder: "a fox carrying a fish",
    autocomplete: "off",
    maxLength: 1000,
    "aria-label": "Text to search for",
    onkeydown: (event) => {
      if (event.key === "ArrowDown" && focusResults()) event.preventDefault();
    },
  });
  const fileInput = el("input", {
    type: "file",
    accept: ACCEPTED_FILES,
    class: "visually-hidden",
    tabIndex: -1,
    "aria-hidden": "true",
    onchange: () => {
      const file = fileInput.files?.[0];
      if (file) onFile(file);
      // Without this, no event follows if the user chooses the same file again.
      fileInput.value = "";
    },
  });
  const chips = createChips({
    onRemove: removeTerm,
    onRegion: async (term, region) => {
      await send(withRegion(read(), term, region));
      focusStatusIfLost();
    },
  });
  const exclude = el("input", { id: "exclude-text", placeholder: "snow", autocomplete: "off", maxLength: 1000 });
  const collection = el("select", { name: "collection", onchange: submit });
  const store = el("select", { name: "provider", onchange: submit });
  const storeField = field("Store", store);
  const filters = createFilters();
  const keptChips = createKept((left) => {
    kept = left;
    return send(read());
  });
  const element = el(
    "form",
    {
      class: "search",
      role: "search",
      noValidate: true,
      onsubmit: (event) => {
        event.preventDefault();
        send(read());
      },
    },
    el(
      "div",
      { class: "query-row" },
      text,
      fileInput,
      button("Image…", () => fileInput.click(), { title: "Search by image: choose, drop or paste a file" }),
      button("Search", undefined, { type: "submit", class: "primary" }),
    ),
    chips.element,
    keptChips.element,
    el(
      "div",
      { class: "options" },
      field("Collection", collection),
      storeField,
      field("Exclude", exclude),
      filters.element,
    ),
  );

  /** Shows the search, or the images, of another collection or store. */
  function submit() {
    element.requestSubmit();
  }

  /** Whether all controls are valid. Otherwise the first one that is not says what is wrong. */
  function check() {
    return element.reportValidity();
  }

  /** @param {import("./query.js").Query} query */
  async function send(query) {
    if (check()) await onSubmit(query);
  }

  /** @param {import("./terms.js").Term} term */
  function removeTerm(term) {
    const query = withoutTerm(read(), term);
    // A minimum for images would hide every result of a search by text.
    return send(isNegative(term) ? query : withoutTermOptions(query));
  }

  /** @returns {import("./query.js").Query} */
  function read() {
    const compared = store.value.startsWith(COMPARE_PREFIX);
    const { q, not } = splitExcluded(text.value);
    const chosen = conditions(filters.read());
    const hasFormat = chosen.some(([name]) => name === "format");
    return {
      q,
      ...terms,
      not: [...new Set([...(terms.not ?? []), ...not, exclude.value.trim()])],
      ...(compared ? { compare: store.value.slice(COMPARE_PREFIX.length) } : { provider: store.value }),
      collection: collection.value,
      // A value of a control comes first: of a condition that has one value, it replaces the one that was kept.
      ...parseQuery([...chosen, ...kept.filter(([name]) => name !== "format" || !hasFormat)]),
      order,
    };
  }

  /** @param {import("./query.js").Query} query */
  function fill(query) {
    text.value = query.q ?? "";
    const { file, like, not_like, not } = query;
    terms = { file, like, not_like, not };
    order = query.order;
    exclude.value = "";
    choose(collection, query.collection, defaultCollection);
    if (query.compare) choose(store, COMPARE_PREFIX + query.compare, undefined, `compare ${query.compare}`);
    else choose(store, query.provider, defaultStore);
    storeField.hidden = store.options.length < 2;
    kept = filters.fill(query);
    chips.show(query);
    keptChips.show(kept);
  }

  /** @param {Choices} choices */
  function offer(choices) {
    defaultCollection = choices.defaultCollection;
    defaultStore = choices.stores[0]?.name;
    collection.replaceChildren(...collectionOptions(choices));
    store.replaceChildren(...storeOptions(choices.stores));
  }

  return { element, read, fill, offer, check };
}

/**
 * Chooses a value. One that does not exist becomes an option, so that the form agrees with the address.
 * @param {HTMLSelectElement} select
 * @param {string} [value]
 * @param {string} [defaultValue] The value of the first option.
 * @param {string} [label]
 */
function choose(select, value, defaultValue, label = value) {
  const chosen = value && value !== defaultValue ? value : "";
  if (chosen && ![...select.options].some((option) => option.value === chosen)) {
    select.append(el("option", { value: chosen }, label));
  }
  select.value = chosen;
}

/**
 * @param {Choices} choices
 */
function collectionOptions({ collections, defaultCollection }) {
  const counts = new Map(collections.map(({ name, count }) => [name, count]));
  // The default collection can be chosen before its first image is indexed.
  const names = new Set([defaultCollection, ...counts.keys()].filter(Boolean));
  return [...names].map((name) =>
    el("option", { value: name === defaultCollection ? "" : name }, `${name} (${formatNumber(counts.get(name) ?? 0)})`),
  );
}

/** @param {StoreReply[]} stores */
function storeOptions(stores) {
  const options = stores.map(({ name, ready }, index) =>
    el("option", { value: index === 0 ? "" : name }, ready ? name : `${name} (not available)`),
  );
  if (stores.length < 2) return options;
  options.push(el("option", { value: "all" }, "all stores"));
  for (const [index, first] of stores.entries()) {
    for (const second of stores.slice(index + 1)) {
      const value = `${COMPARE_PREFIX}${first.name},${second.name}`;
      options.push(el("option", { value }, `compare ${first.name} with ${second.name}`));
    }
  }
  return options;
}
