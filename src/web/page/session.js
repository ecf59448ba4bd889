// Signing in: the API key, once, for a cookie that scripts cannot read.

import { ask, send } from "./api.js";
import { button, el, field } from "./dom.js";

/** Asks for the key until it is the right one. */
export function signIn() {
  return new Promise((resolve) => {
    const key = el("input", { type: "password", name: "key", autocomplete: "current-password", required: true });
    const wrong = el("p", { class: "wrong", role: "alert" });
    const form = el("form", { method: "dialog", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await send("POST", "/session", { key: key.value });
        dialog.close();
        dialog.remove();
        resolve();
      } catch (error) {
        wrong.textContent = error.status === 401 ? "That key is not known here. Look for GLIMPSE_API_KEY." : error.message;
        key.select();
      }
    } },
    el("h1", {}, "Sign in"),
    el("p", {}, "This service asks for its API key once; the browser stays signed in for twelve hours."),
    field("API key", key), wrong, el("div", { class: "row" }, button("Sign in", undefined, { type: "submit", class: "main" })));
    const dialog = el("dialog", { class: "ask", "aria-label": "Sign in", oncancel: (event) => event.preventDefault() }, form);
    document.body.append(dialog);
    dialog.showModal();
  });
}

export const signOut = () => ask("/session", { method: "DELETE" });
