// The image of the viewer: first the thumbnail, then a preview, and the original if its file is small.

import { ApiError, fetchJson } from "../api.js";
import { isCmyk } from "./jpeg.js";

/** The longest side of a preview in pixels. */
const PREVIEW_SIDE = 1440;
/** Larger files are shown as a preview. */
const MAX_ORIGINAL_BYTES = 4_000_000;
/** Larger files are shown as a preview until they are loaded. */
const MAX_FIRST_BYTES = 400_000;
/** The formats that every browser shows. */
const SHOWN_FORMATS = ["jpeg", "png", "webp", "gif", "bmp"];

/** @typedef {import("./tile.js").GridImage} GridImage */

/**
 * Shows an image, and a better one as soon as it is loaded.
 * @param {HTMLImageElement} image
 * @param {GridImage} result
 * @param {object} options
 * @param {Promise<ImageReply>} options.record
 * @param {() => boolean} options.isCurrent Whether the image is still shown.
 * @param {(reason: string) => void} options.onError Called if only the thumbnail can be shown.
 */
export async function showLargeImage(image, result, { record, isCurrent, onError }) {
  image.hidden = !result.thumbnail;
  image.onerror = () => {
    image.hidden = true;
  };
  image.src = result.thumbnail ?? "";
  let hasBetter = false;
  for await (const source of chooseSources(result, record)) {
    const loader = new Image();
    loader.src = source;
    try {
      await loader.decode();
    } catch {
      if (hasBetter) return;
      const reason = await explainError(source);
      if (isCurrent()) onError(reason);
      return;
    }
    if (!isCurrent()) return;
    hasBetter = true;
    image.hidden = false;
    image.src = source;
  }
}

/**
 * Yields what is shown, the best one last. The original keeps sharp pixels, transparency and animation; a preview of a large
 * image has fewer bytes. Browsers do not use the profile of a CMYK image, so that only its preview has the right colours.
 * @param {GridImage} result
 * @param {Promise<ImageReply>} record
 */
async function* chooseSources({ preview, format, width, height }, record) {
  const isSmall = Math.max(width, height) <= PREVIEW_SIDE && SHOWN_FORMATS.includes(format);
  const found = isSmall ? await record.catch(() => null) : null;
  if (!found || found.size_bytes > MAX_ORIGINAL_BYTES) {
    yield preview;
    return;
  }
  if (found.size_bytes > MAX_FIRST_BYTES) yield preview;
  const isOnlyPreview = format === "jpeg" && (await isCmyk(found.original).catch(() => true));
  yield isOnlyPreview ? preview : found.original;
}

/**
 * Why the browser does not show an image: the service cannot send it, or the browser cannot decode it.
 * @param {string} source
 * @returns {Promise<string>}
 */
async function explainError(source) {
  try {
    await fetchJson(source, { headers: { range: "bytes=0-0" } });
    return "This browser cannot show the original file. It shows the thumbnail instead.";
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
}
