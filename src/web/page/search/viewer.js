// One image over the whole page, with its metadata.

import { ApiError, fetchJson } from "../api.js";
import { announce, button, copyButton, el } from "../dom.js";
import { may } from "../role.js";
import { isTyping } from "../shortcuts.js";
import { addImage } from "./add-image.js";
import { duplicatesList } from "./duplicates.js";
import { factElements, recordFacts, resultFacts, termScores } from "./facts.js";
import { focusFirstImage, focusStatus } from "./focus.js";
import { TERM_KEYS } from "./grid.js";
import { showLargeImage } from "./large-image.js";
import { isOpenedEntry, leaveOpenImage, setOpenImageId } from "./open-image.js";
import { copiesQuery, queryAddress, withoutTermOptions } from "./query.js";
import { chooseRegion } from "./region.js";
import { removeControl } from "./remove-image.js";
import { enlargement } from "./small-image.js";
import { LESS_EXPLANATION, MORE_EXPLANATION } from "./tile.js";

/** Beyond this aspect ratio an image that fits the screen is thinner than one pixel and would not be visible. */
const MAX_TRUE_RATIO = 200;
const COPIES_EXPLANATION =
  "Finds copies of this image in the collection: the same file, or resized, compressed again, mirrored or cropped";
const FORMATS_WITH_TRANSPARENCY = ["png", "webp", "gif", "tiff", "heic", "avif", "jxl"];

/** @typedef {import("./tile.js").GridImage} GridImage */

/**
 * What the viewer shows: the images of a grid, or one image.
 * @typedef {Pick<import("./grid.js").Grid, "results" | "shownCount" | "loadMore" | "layout" | "focus">} ImageSequence
 */

/** @type {HTMLDialogElement | null} */
let openDialog = null;

/**
 * Opens an image that no grid shows.
 * @param {string} id
 * @param {import("./add-image.js").SearchContext} context
 */
export async function openSingleImage(id, context) {
  const { collection } = context.query;
  const params = new URLSearchParams(collection ? { collection } : {});
  /** @type {ImageReply} */
  const record = await fetchJson(`/images/${encodeURIComponent(id)}?${params}`);
  const sequence = {
    results: [record],
    shownCount: 1,
    loadMore: async () => false,
    layout: () => {},
    focus: focusStatus,
  };
  openViewer(sequence, 0, context);
}

/** Closes the open image and leaves the address as it is. */
export function closeViewer() {
  const dialog = openDialog;
  openDialog = null;
  dialog?.close();
}

/**
 * Opens the image at an index of the grid.
 * @param {ImageSequence} grid
 * @param {number} firstIndex
 * @param {import("./add-image.js").SearchContext} context
 */
export function openViewer(grid, firstIndex, context) {
  const { query, navigate } = context;
  let index = firstIndex;
  const image = el("img", { class: "large", alt: "" });
  const errorText = el("p", { class: "warning", role: "alert", hidden: true });
  const details = el("div", { class: "facts" });
  const previous = button("‹", () => step(-1), { class: "step previous", "aria-label": "Previous image" });
  const next = button("›", () => step(1), { class: "step next", "aria-label": "Next image" });
  const stage = el(
    "div",
    {
      class: "stage",
      onclick: (event) => {
        if (event.target === stage) dialog.close();
      },
    },
    image,
    errorText,
    previous,
    next,
  );
  const closeButton = button("×", () => dialog.close(), { class: "close", "aria-label": "Close" });
  const dialog = el(
    "dialog",
    { class: "viewer", "aria-label": "Image", tabIndex: -1, onclose: restoreGrid, onkeydown: handleKey },
    stage,
    el("aside", {}, closeButton, details),
  );

  function restoreGrid() {
    dialog.remove();
    // Otherwise the address is already that of what is shown next.
    if (openDialog === dialog) {
      openDialog = null;
      leaveOpenImage();
    }
    // The scroll bar is back and the page is narrower. The rows need their new size before an image gets the focus, or the
    // page scrolls to the wrong place.
    grid.layout();
    grid.focus(index);
  }

  /** @param {KeyboardEvent} event */
  function handleKey(event) {
    if (isTyping(event)) return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "m") searchSimilar();
    else if (TERM_KEYS[event.key]) addToSearch(TERM_KEYS[event.key]);
  }

  /** @param {"like" | "not_like"} field */
  function addToSearch(field) {
    return addImage({ query, navigate: leaveTo }, field, grid.results[index].id);
  }

  function searchSimilar() {
    return searchByImage(grid.results[index].id);
  }

  function findCopies() {
    return show(copiesQuery(query, grid.results[index].id));
  }

  function searchPart() {
    const { id, s3_key: name, preview: source, thumbnail: fallback } = grid.results[index];
    const onChoose = (/** @type {string} */ region) => searchByImage(`${id}~${region}`);
    chooseRegion({ source, fallback: fallback ?? undefined, name, onChoose });
  }

  /**
   * Searches by an image alone, with the filters of the search that is shown.
   * @param {string} image
   */
  function searchByImage(image) {
    return show(withoutTermOptions({ ...query, q: "", file: "", like: [image], not_like: [], not: [] }));
  }

  /** @param {import("./query.js").Query} next */
  async function show(next) {
    await leaveTo(queryAddress(next));
    focusFirstImage();
  }

  /**
   * Shows another search, from which the back button leads to the search that is shown.
   * @param {string} address
   */
  function leaveTo(address) {
    const replace = isOpenedEntry();
    if (!replace) setOpenImageId(null);
    closeViewer();
    return navigate(address, { replace });
  }

  /** @param {1 | -1} offset */
  async function step(offset) {
    if (index + offset < 0) return;
    if (index + offset >= grid.shownCount) await grid.loadMore();
    if (index + offset >= grid.shownCount) return;
    index += offset;
    render();
  }

  async function render() {
    const result = grid.results[index];
    previous.disabled = index === 0;
    // A button that becomes disabled loses the focus, and then no key reaches the dialog.
    const focused = document.activeElement;
    if (!dialog.contains(focused) || (focused === previous && previous.disabled)) dialog.focus();
    errorText.hidden = true;
    fitImage(image, result);
    image.alt = result.s3_key;
    const loading = fetchRecord(result);
    const isCurrent = () => dialog.isConnected && grid.results[index] === result;
    showLargeImage(image, result, { record: loading, isCurrent, onError: showError });
    dialog.setAttribute("aria-label", result.s3_key);
    const facts = el("dl", {}, factElements(resultFacts(result)));
    details.replaceChildren(
      el("h1", { class: "key" }, result.s3_key),
      el(
        "div",
        { class: "row" },
        copyButton(result.s3_key),
        el("a", { class: "button", href: result.original, target: "_blank", rel: "noopener" }, "Open the original"),
      ),
      el(
        "div",
        { class: "row" },
        button("More like this", () => addToSearch("like"), { title: MORE_EXPLANATION }),
        button("Less like this", () => addToSearch("not_like"), { title: LESS_EXPLANATION }),
        button("Similar images", () => searchSimilar(), {
          title: "Searches by this image alone, with the same filters (m)",
        }),
        button("Search a part…", searchPart, {
          title: "Searches by a part of this image alone, with the same filters",
        }),
        button("Find duplicates", findCopies, { title: COPIES_EXPLANATION }),
      ),
      ...duplicatesList(result),
      ...termScores(result, query),
      facts,
      ...(may("write") ? [removeControl(result)] : []),
    );
    announce(`${result.s3_key}, ${index + 1} of ${grid.shownCount}`);
    try {
      const record = await loading;
      if (grid.results[index] === result) facts.append(...factElements(recordFacts(record)));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (grid.results[index] === result) details.append(el("p", { class: "warning" }, error.message));
    }
    if (dialog.open && grid.results[index] === result) setOpenImageId(result.id);
  }

  /** @param {string} reason */
  function showError(reason) {
    errorText.textContent = reason;
    errorText.hidden = false;
  }

  closeViewer();
  openDialog = dialog;
  document.body.append(dialog);
  dialog.showModal();
  dialog.focus();
  render();
}

/**
 * @param {GridImage} result
 * @returns {Promise<ImageReply>}
 */
function fetchRecord(result) {
  // The address of the original names the collection.
  const { searchParams } = new URL(result.original, location.href);
  return fetchJson(`/images/${encodeURIComponent(result.id)}?${searchParams}`);
}

/**
 * Shows the image at its own size, or smaller if it does not fit.
 * @param {HTMLImageElement} image
 * @param {GridImage} result
 */
function fitImage(image, { width, height, format }) {
  const scale = enlargement({ width, height });
  const ratio = width / height;
  image.width = width;
  image.height = height;
  // The thumbnail and the image that replaces it have slightly different ratios.
  image.style.aspectRatio = `${width} / ${height}`;
  image.style.width = `min(100cqw, ${width * scale}px, ${100 * ratio}cqh)`;
  image.classList.toggle("pixelated", scale > 1);
  image.classList.toggle("thin", Math.max(ratio, 1 / ratio) > MAX_TRUE_RATIO);
  image.classList.toggle("transparent", FORMATS_WITH_TRANSPARENCY.includes(format));
}
