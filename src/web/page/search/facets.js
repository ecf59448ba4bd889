// What the images of a collection can be filtered by: formats, folders and metadata values, with their numbers of images.
// A chip sets a filter of the form, or removes it.

import { ApiError, fetchJson } from "../api.js";
import { button, el } from "../dom.js";
import { formatNumber } from "../format.js";
import { focusStatusIfLost } from "./focus.js";
import { browseParams } from "./query.js";

/** @typedef {import("./query.js").Query} Query */

const MAX_VALUES = 12;
const MAX_META_KEYS = 4;
/** The characters at the end of a long text that a narrow chip shows: for a folder its name, within these limits. */
const MIN_END = 14;
const MAX_END = 28;
/** The names of the fields that are not metadata. @type {Record<string, string>} */
const NAMES = { format: "Format", folder: "Folder", camera: "Camera", taken_month: "Month" };
/** The lists of a query that hold the values of a field. @type {Record<string, "format" | "camera" | "taken_month">} */
const LISTS = { format: "format", camera: "camera", taken_month: "taken_month" };

/**
 * @param {object} form
 * @param {() => Query} form.read Returns the query of the form, which can be newer than the one that the chips show.
 * @param {(query: Query) => Promise<unknown>} form.onSelect Called if the user adds or removes a filter.
 */
export function createFacets({ read, onSelect }) {
  const element = el("div", { class: "facets", role: "group", "aria-label": "Filters of the collection" });
  /** The chip that the user pressed last. @type {string | null} */
  let pressed = null;
  /** Counts what is to be shown: an answer that came too late is not shown. */
  let turn = 0;

  /**
   * @param {Query} query
   * @param {string} collection
   * @returns {Promise<number | null>} The number of images that match the filters; null if it is not known.
   */
  async function show(query, collection) {
    turn += 1;
    const own = turn;
    element.setAttribute("aria-busy", "true");
    const { groups, total } = await fetchGroups(query, collection);
    if (own !== turn) return null;
    element.removeAttribute("aria-busy");
    element.replaceChildren(...groups.map((group) => renderGroup(group, query)));
    // The chip that had the focus was replaced.
    const again = [...element.querySelectorAll("button")].find((chip) => chip.dataset.key === pressed);
    if (pressed && document.activeElement === document.body) (again ?? element.querySelector("button"))?.focus();
    if (pressed) focusStatusIfLost();
    pressed = null;
    return total;
  }

  /**
   * @param {FacetsReply} group
   * @param {Query} query
   */
  function renderGroup({ field, values }, query) {
    const name = NAMES[field] ?? field.slice("meta.".length);
    const chips = sortNumbers(values).map(({ value, count }) => {
      const selected = isSelected(query, field, value);
      const key = `${field}=${value}`;
      const text = value || "(empty)";
      const chip = button(
        "",
        () => {
          pressed = key;
          onSelect(toggled(read(), field, value));
        },
        {
          class: "facet",
          "aria-pressed": String(selected),
          "aria-label": `${text} ${formatNumber(count)}`,
          title: value,
        },
      );
      chip.dataset.key = key;
      chip.append(shortenedText(text), el("span", { class: "count" }, ` ${formatNumber(count)}`));
      return el("li", {}, chip);
    });
    return el(
      "div",
      { class: "facet-row" },
      el("span", { class: "facet-name", title: name }, name),
      el("ul", { "aria-label": name }, ...chips),
    );
  }

  function clear() {
    turn += 1;
    element.removeAttribute("aria-busy");
    element.replaceChildren();
  }

  return { element, show, clear };
}

/**
 * The text of a chip. If the chip is too narrow, the text is shortened before its end: folders differ there.
 * @param {string} text
 */
function shortenedText(text) {
  const characters = [...text];
  const slash = characters.lastIndexOf("/", -2);
  const nameLength = slash < 0 ? 0 : characters.length - slash - 1;
  const end = Math.max(MIN_END, Math.min(MAX_END, nameLength));
  const split = characters.length > end ? characters.length - end : characters.length;
  return el(
    "span",
    { class: "shortened" },
    el("span", { class: "text" }, characters.slice(0, split).join("")),
    el("span", {}, characters.slice(split).join("")),
  );
}

/**
 * Numbers in their order. Other values stay in the order of their frequency.
 * @param {FacetsReply["values"]} values
 */
function sortNumbers(values) {
  const areNumbers = values.every(({ value }) => value.trim() && Number.isFinite(Number(value)));
  return areNumbers ? values.toSorted((one, other) => Number(one.value) - Number(other.value)) : values;
}

/**
 * The fields whose values tell the images apart, and the number of images. Without an answer there are none: the images are
 * shown nevertheless.
 * @param {Query} query
 * @param {string} collection
 * @returns {Promise<{ groups: FacetsReply[], total: number | null }>}
 */
async function fetchGroups(query, collection) {
  const path = `/collections/${encodeURIComponent(collection)}`;
  try {
    /** @type {CollectionDetailsReply} */
    const { meta_keys: keys } = await fetchJson(path);
    const fields = [
      "format",
      "folder",
      "camera",
      "taken_month",
      ...keys.slice(0, MAX_META_KEYS).map((key) => `meta.${key}`),
    ];
    const groups = await Promise.all(fields.map((field) => fetchFacets(path, query, field)));
    // Each image has one format.
    const total = groups[0].values.reduce((sum, { count }) => sum + count, 0);
    const useful = groups.map((group) => withUsefulValues(group, query, total)).filter(({ values }) => values.length);
    // If all stores are asked, the values are those of the first one.
    return { groups: useful, total: query.provider === "all" ? null : total };
  } catch (error) {
    if (error instanceof ApiError) return { groups: [], total: null };
    throw error;
  }
}

/**
 * @param {string} path
 * @param {Query} query
 * @param {string} field
 * @returns {Promise<FacetsReply>}
 */
function fetchFacets(path, query, field) {
  const params = browseParams(query);
  params.set("field", field);
  params.set("limit", String(MAX_VALUES));
  return fetchJson(`${path}/facets?${params}`);
}

/**
 * Leaves out the values that all images have, and fields whose values are different for each image.
 * @param {FacetsReply} group
 * @param {Query} query
 * @param {number} total
 */
function withUsefulValues(group, query, total) {
  const useful = group.values.filter(({ value, count }) => count < total || isSelected(query, group.field, value));
  const distinct = group.has_more && group.values[0].count === 1;
  return { ...group, values: distinct ? [] : useful };
}

/**
 * @param {Query} query
 * @param {string} field
 * @param {string} value
 */
function isSelected(query, field, value) {
  if (LISTS[field]) return (query[LISTS[field]] ?? []).includes(literal(value));
  if (field === "folder") return (query.s3_prefix ?? []).includes(literal(value));
  return query.meta.some(([name, other]) => `meta.${name}` === field && other === literal(value));
}

/**
 * The query with a filter by this value, or without it if it has the filter.
 * @param {Query} query
 * @param {string} field
 * @param {string} value
 * @returns {Query}
 */
function toggled(query, field, value) {
  const selected = isSelected(query, field, value);
  const text = literal(value);
  if (LISTS[field]) {
    const others = (query[LISTS[field]] ?? []).filter((other) => other !== text);
    return { ...query, [LISTS[field]]: selected ? others : [...others, text] };
  }
  if (field === "folder") {
    const folders = query.s3_prefix ?? [];
    // Another folder takes the place of the folders before; what is excluded stays excluded.
    const others = folders.filter((folder) => (selected ? folder !== text : folder.startsWith("!")));
    return { ...query, s3_prefix: selected ? others : [...others, text] };
  }
  const others = query.meta.filter(([name, other]) => `meta.${name}` !== field || other !== text);
  return { ...query, meta: selected ? others : [...others, [field.slice("meta.".length), text]] };
}

/**
 * The filter value that means this text, even if the text looks like an exclusion or a range.
 * @param {string} value
 */
function literal(value) {
  return value
    .replaceAll("\\", "\\\\")
    .replace(/^!/, "\\!")
    .replace(/\.(?=\.)/g, "\\.");
}
