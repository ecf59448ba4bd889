// Image files that the user drops or pastes.

/**
 * Calls `onFiles` with the files that are dropped or pasted anywhere on the page.
 * @param {HTMLElement} root Marked with the class `dropping` while a file is dragged over the page.
 * @param {(files: File[]) => void} onFiles
 * @returns {() => void} Removes the listeners.
 */
export function acceptFiles(root, onFiles) {
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
      accept(event, event.dataTransfer);
    },
    { signal },
  );
  addEventListener("paste", (event) => accept(event, event.clipboardData), { signal });
  return () => listeners.abort();

  /**
   * @param {Event} event
   * @param {DataTransfer | null} transfer
   */
  function accept(event, transfer) {
    const files = [...(transfer?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    onFiles(files);
  }
}
