// The keyboard: what works everywhere, and a list of it all.

import { button, el } from "./dom.js";

const LIST = [
  ["/", "to the search field"],
  ["↓", "in the search field: to the first picture"],
  ["← → ↑ ↓", "from picture to picture"],
  ["Enter", "open the picture, or start the search"],
  ["← →", "in an open picture: the one before, the next"],
  ["m", "in an open picture: more like this"],
  ["Esc", "close"],
  ["?", "this list"],
];

/** Whether keys are words just now. */
export const typing = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input, textarea, select, [contenteditable]");

export function keys(opener) {
  const dialog = el("dialog", { class: "ask", "aria-label": "Keyboard shortcuts" },
    el("h1", {}, "Keyboard"),
    el("dl", { class: "keys" }, LIST.map(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)])),
    el("div", { class: "row" }, button("Close", () => dialog.close())));
  document.body.append(dialog);
  opener.addEventListener("click", () => dialog.showModal());
  addEventListener("keydown", (event) => {
    if (typing(event) || document.querySelector("dialog[open]")) return;
    if (event.key === "?") {
      event.preventDefault();
      dialog.showModal();
    } else if (event.key === "/") {
      const words = document.querySelector("#words");
      if (!words) return;
      event.preventDefault();
      words.focus();
      words.select();
    }
  });
}
