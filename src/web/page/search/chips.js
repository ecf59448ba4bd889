// The terms of a search that the text field does not show: images, and texts to exclude. Each can be removed.

import { button, el } from "../dom.js";
import { recallFile } from "./query.js";
import { chooseRegion } from "./region.js";
import { isNegative, parseImage, queryTerms } from "./terms.js";

/** @typedef {import("./terms.js").Term} Term */

/**
 * @param {object} handlers
 * @param {(term: Term) => Promise<unknown>} handlers.onRemove Called if the user removes a term from the search.
 * @param {(term: Term, region: string) => unknown} handlers.onRegion Called if the user chooses a part of an image.
 */
export function createChips({ onRemove, onRegion }) {
  const element = el("ul", { class: "chips", "aria-label": "Images and exclusions of the search" });

  /** @param {import("./query.js").Query} query */
  function show(query) {
    const terms = queryTerms(query).filter(({ field }) => field !== "q");
    element.replaceChildren(
      ...terms.map((term, index) =>
        el(
          "li",
          { class: "chip" },
          termLabel(term, query.collection),
          isText(term) ? null : regionButton(term, query.collection),
          button("×", () => remove(term, index), { class: "remove", "aria-label": `Remove: ${nameOf(term)}` }),
        ),
      ),
    );
  }

  /**
   * @param {Term} term
   * @param {number} index
   */
  async function remove(term, index) {
    await onRemove(term);
    focusNextRemove(element, index);
  }

  /**
   * @param {Term} term
   * @param {string | undefined} collection
   */
  function regionButton(term, collection) {
    const choose = () => {
      const source = imageUrl(term, collection, "preview");
      const fallback = term.field === "file" ? undefined : imageUrl(term, collection, "thumbnail");
      if (source) chooseRegion({ source, fallback, name: nameOf(term), onChoose: (region) => onRegion(term, region) });
    };
    return button("Part…", choose, { title: "Searches for a part of this image" });
  }

  return { element, show };
}

/**
 * Moves the focus to the next chip after the one with the focus was removed.
 * @param {HTMLElement} list
 * @param {number} index The index of the removed chip.
 */
export function focusNextRemove(list, index) {
  if (document.activeElement !== document.body) return;
  const buttons = list.querySelectorAll(".remove");
  const next = buttons[index] ?? buttons[index - 1] ?? document.querySelector("#query-text");
  if (next instanceof HTMLElement) next.focus();
}

/**
 * The sign of a term, with its text or image.
 * @param {Term} term
 * @param {string | undefined} collection
 * @returns {import("../dom.js").Child[]}
 */
export function termLabel(term, collection) {
  const name = signName(term);
  const sign = el(
    "span",
    { class: isNegative(term) ? "sign negative" : "sign", role: "img", "aria-label": name, title: name },
    isNegative(term) ? "−" : "+",
  );
  const text = textOf(term);
  return [sign, thumbnail(term, collection), text ? el("span", { class: "text", title: text }, text) : null];
}

/** @param {Term} term */
function isText({ field }) {
  return field === "q" || field === "not";
}

/** @param {Term} term */
function signName(term) {
  const name = isNegative(term) ? "not like" : "like";
  if (isText(term)) return name;
  return parseImage(term.value).region ? `${name} a part of this image` : `${name} this image`;
}

/** @param {Term} term */
function nameOf(term) {
  return [signName(term), textOf(term)].filter(Boolean).join(" ");
}

/** @param {Term} term */
function textOf(term) {
  if (isText(term)) return `“${term.value}”`;
  const { region } = parseImage(term.value);
  const name = term.field === "file" ? recallFile(term.value)?.name : null;
  return [name, region ? "(a part)" : null].filter(Boolean).join(" ") || null;
}

/**
 * @param {Term} term
 * @param {string | undefined} collection
 */
function thumbnail(term, collection) {
  const url = imageUrl(term, collection, "thumbnail");
  if (!url) return null;
  const image = el("img", {
    src: url,
    alt: "",
    onload: () => URL.revokeObjectURL(url),
    onerror: () => image.replaceWith(el("span", { class: "text" }, "an image")),
  });
  return image;
}

/**
 * @param {Term} term
 * @param {string | undefined} collection
 * @param {"preview" | "thumbnail"} kind
 */
function imageUrl(term, collection, kind) {
  if (isText(term)) return undefined;
  if (term.field !== "file") {
    const params = new URLSearchParams(collection ? { collection } : {});
    return `./images/${encodeURIComponent(parseImage(term.value).id)}/${kind}?${params}`;
  }
  const file = recallFile(term.value);
  return file && URL.createObjectURL(file);
}
