// The image of the viewer: first the thumbnail, then a preview, or the original if its file is small.

import { ApiError, fetchJson } from "../api.js";
import { isCmyk } from "./jpeg.js";

/** The longest side of a preview in pixels. */
const PREVIEW_SIDE = 1440;
/** Larger files are shown as a preview. */
const MAX_ORIGINAL_BYTES = 4_000_000;
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
  const source = await chooseSource(result, record);
  const loader = new Image();
  loader.src = source;
  try {
    await loader.decode();
  } catch {
    const reason = await explainError(source);
    if (isCurrent()) onError(reason);
    return;
  }
  if (!isCurrent()) return;
  image.hidden = false;
  image.src = source;
}

/**
 * The original keeps sharp pixels, transparency and animation; a preview of a large image has fewer bytes. Browsers do not use
 * the profile of a CMYK image, so that only its preview has the right colours.
 * @param {GridImage} result
 * @param {Promise<ImageReply>} record
 */
async function chooseSource({ preview, format, width, height }, record) {
  if (Math.max(width, height) > PREVIEW_SIDE || !SHOWN_FORMATS.includes(format)) return preview;
  try {
    const { original, size_bytes: size } = await record;
    if (size > MAX_ORIGINAL_BYTES || (format === "jpeg" && (await isCmyk(original)))) return preview;
    return original;
  } catch {
    return preview;
  }
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
