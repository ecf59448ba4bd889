// Keyboard shortcuts that work in every view, and the list of all shortcuts.

import { button, el } from "./dom.js";

const SHORTCUTS = [
  ["/", "go to the search field"],
  ["↓", "in the search field: go to the first image"],
  ["← → ↑ ↓", "go from image to image"],
  ["Enter", "open the image, or start the search"],
  ["← →", "in an open image: previous, next"],
  ["+ −", "on an image: more like this, less like this"],
  ["m", "in an open image: similar images"],
  ["Esc", "close"],
  ["?", "show this list"],
];

/**
 * Whether a key press belongs to a text field or to the browser, and is not a shortcut.
 * @param {KeyboardEvent} event
 */
export function isTyping(event) {
  const inField = event.target instanceof Element && event.target.matches("input, textarea, select, [contenteditable]");
  return event.ctrlKey || event.metaKey || event.altKey || inField;
}

/**
 * @param {HTMLElement} opener The button that shows the list of shortcuts.
 */
export function installShortcuts(opener) {
  /** @type {HTMLDialogElement} */
  const dialog = el(
    "dialog",
    { class: "prompt", "aria-label": "Keyboard shortcuts" },
    el("h1", {}, "Keyboard shortcuts"),
    el(
      "dl",
      { class: "shortcuts" },
      SHORTCUTS.map(([key, action]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, action)]),
    ),
    el(
      "div",
      { class: "row" },
      button("Close", () => dialog.close()),
    ),
  );
  document.body.append(dialog);
  opener.addEventListener("click", () => dialog.showModal());
  addEventListener("keydown", (event) => {
    if (isTyping(event) || document.querySelector("dialog[open]")) return;
    if (event.key === "?") {
      event.preventDefault();
      dialog.showModal();
    } else if (event.key === "/") {
      const input = document.querySelector("#query-text");
      if (!(input instanceof HTMLInputElement)) return;
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
}
