// The image of the current search, below the search field.

import { button, el } from "../dom.js";
import { recallFile } from "./query.js";

/**
 * @param {() => void} onRemove Called if the user removes the image from the search.
 */
export function createQueryImage(onRemove) {
  const element = el("div", { class: "chip", hidden: true });

  /** @param {import("./query.js").Query} query */
  function show(query) {
    element.hidden = !(query.like || query.file);
    if (element.hidden) return element.replaceChildren();
    const { label, url } = query.like ? describeIndexed(query.like, query.collection) : describeFile(query.file);
    const preview = url ? el("img", { src: url, alt: "", height: 40, onload: () => URL.revokeObjectURL(url) }) : "";
    element.replaceChildren(
      preview,
      el("span", {}, label),
      button("×", onRemove, { "aria-label": "Remove the image from the search" }),
    );
  }

  return { element, show };
}

/**
 * @param {string} id
 * @param {string | undefined} collection
 */
function describeIndexed(id, collection) {
  const params = new URLSearchParams(collection ? { collection } : {});
  return { label: "similar to this image", url: `/images/${encodeURIComponent(id)}/thumbnail?${params}` };
}

/** @param {string | undefined} fileId */
function describeFile(fileId) {
  const file = fileId ? recallFile(fileId) : undefined;
  if (!file) return { label: "an image", url: null };
  return { label: file.name || "the pasted image", url: URL.createObjectURL(file) };
}
