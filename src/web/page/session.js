// Signs in and out. The API key is exchanged for a cookie that scripts cannot read.

import { ApiError, fetchJson, sendJson } from "./api.js";
import { button, el, field } from "./dom.js";

/**
 * Asks for the API key until the service accepts it.
 * @returns {Promise<SessionReply>}
 */
export function signIn() {
  return new Promise((resolve) => {
    const key = el("input", { type: "password", name: "key", autocomplete: "current-password", required: true });
    const errorText = el("p", { class: "error", role: "alert" });
    const form = el(
      "form",
      {
        method: "dialog",
        onsubmit: async (event) => {
          event.preventDefault();
          /** @type {SessionReply} */
          let session;
          try {
            session = await sendJson("POST", "/session", { key: key.value });
          } catch (error) {
            if (!(error instanceof ApiError)) throw error;
            errorText.textContent =
              error.status === 401
                ? "The service does not accept this API key. It is misspelt, has expired, or was removed."
                : error.message;
            key.select();
            return;
          }
          dialog.close();
          dialog.remove();
          resolve(session);
        },
      },
      el("h1", {}, "Sign in"),
      el("p", {}, "Enter the API key of this service. The browser stays signed in for twelve hours."),
      field("API key", key),
      errorText,
      el("div", { class: "row" }, button("Sign in", undefined, { type: "submit", class: "primary" })),
    );
    // Esc must not close the dialog: nothing works without the key.
    const dialog = el(
      "dialog",
      {
        class: "prompt",
        "aria-label": "Sign in",
        oncancel: (/** @type {Event} */ event) => event.preventDefault(),
      },
      form,
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function signOut() {
  return fetchJson("/session", { method: "DELETE" });
}
