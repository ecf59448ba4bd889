// Other images that are the same as a result of a search.

import { el } from "../dom.js";
import { openImageAddress } from "./open-image.js";

/**
 * A mark on a result that stands for several images; null if it stands for one.
 * @param {import("./tile.js").GridImage} result
 * @returns {import("./compare.js").Mark | null}
 */
export function duplicatesMark({ duplicates_total: total = 0, duplicates = [] }) {
  if (!total) return null;
  const kind = duplicates.every(({ identical }) => identical) ? "identical" : "similar";
  return { kind: "copies", label: `+${total} ${kind}`, explanation: `stands for ${total} more ${kind} images` };
}

/**
 * The other images, for an open image. Each link opens one of them.
 * @param {import("./tile.js").GridImage} result
 */
export function duplicatesList({ duplicates_total: total = 0, duplicates = [] }) {
  if (!total) return [];
  const hidden = total - duplicates.length;
  return [
    el("h2", {}, "Also stored as"),
    el(
      "ul",
      { class: "duplicates" },
      duplicates.map(({ id, s3_key, width, height, identical }) =>
        el(
          "li",
          {},
          el("a", { href: openImageAddress(id), "data-replace": "" }, s3_key),
          identical ? "" : ` (${width} × ${height}, similar)`,
        ),
      ),
      hidden > 0 ? el("li", {}, `and ${hidden} more`) : null,
    ),
  ];
}
