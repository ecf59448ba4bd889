// Image files that the user drops or pastes.

/**
 * Calls `onFile` with a file that is dropped or pasted anywhere on the page.
 * @param {HTMLElement} root Marked with the class `dropping` while a file is dragged over the page.
 * @param {(file: File) => void} onFile
 * @returns {() => void} Removes the listeners.
 */
export function acceptFiles(root, onFile) {
  const listeners = new AbortController();
  const { signal } = listeners;
  addEventListener(
    "dragover",
    (event) => {
      if (!event.dataTransfer || ![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      root.classList.add("dropping");
    },
    { signal },
  );
  addEventListener(
    "dragleave",
    (event) => {
      // Without a related target the pointer has left the window, not only one element.
      if (!event.relatedTarget) root.classList.remove("dropping");
    },
    { signal },
  );
  addEventListener(
    "drop",
    (event) => {
      root.classList.remove("dropping");
      acceptFirst(event, event.dataTransfer);
    },
    { signal },
  );
  addEventListener("paste", (event) => acceptFirst(event, event.clipboardData), { signal });
  return () => listeners.abort();

  /**
   * @param {Event} event
   * @param {DataTransfer | null} transfer
   */
  function acceptFirst(event, transfer) {
    const file = transfer?.files[0];
    if (!file) return;
    event.preventDefault();
    onFile(file);
  }
}
