// Removes the record of an image from its collection: until the next job, or permanently.

import { ApiError, fetchJson } from "../api.js";
import { announce, button, el } from "../dom.js";

/**
 * A button that asks how an image is to be removed, and then shows what was done.
 * @param {import("./tile.js").GridImage} result
 */
export function removeControl({ id, original }) {
  const box = el("div", { class: "row" });
  // The address of the original names the collection.
  const collection = new URL(original, location.href).searchParams.get("collection") ?? "";

  /**
   * @param {string} text
   * @param {HTMLButtonElement[]} buttons
   */
  function show(text, ...buttons) {
    box.replaceChildren(el("p", { class: "muted" }, text), ...buttons);
    // The button that was pressed is gone, and without a focus no key reaches the dialog.
    (buttons[0] ?? box.closest("dialog"))?.focus();
    announce(text);
  }

  /**
   * @param {string} address
   * @param {() => void} onDone
   */
  async function send(address, onDone) {
    try {
      await fetchJson(address, { method: "DELETE" });
      onDone();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      show(error.message, remove);
    }
  }

  /** @param {boolean} permanently */
  function removeImage(permanently) {
    const params = new URLSearchParams({ collection, permanently: String(permanently) });
    return send(`/images/${encodeURIComponent(id)}?${params}`, () => {
      if (permanently) show("Removed permanently. Jobs and events do not index it again.", restore);
      else show("Removed. The next job indexes it again.");
    });
  }

  const remove = button("Remove…", () =>
    show(
      "Remove this image from the collection? The object stays in the bucket.",
      button("Until the next job", () => removeImage(false)),
      button("Permanently", () => removeImage(true), { title: "No job, event or upload indexes it again" }),
      button("Cancel", () => {
        box.replaceChildren(remove);
        remove.focus();
      }),
    ),
  );
  const restore = button("Restore", () =>
    send(`/collections/${encodeURIComponent(collection)}/removed-images/${encodeURIComponent(id)}`, () =>
      show("Restored. The next job indexes it again."),
    ),
  );
  box.append(remove);
  return box;
}
