// The conditions of the address that no control of the form can hold. The next search keeps them; each has a chip that
// shows and removes it.

import { button, el } from "../dom.js";
import { focusNextRemove } from "./chips.js";
import { LABELS } from "./fields.js";
import { conditions } from "./query.js";

/** @typedef {import("./query.js").Parameter} Parameter */

/** @type {Record<string, string>} */
const COLLAPSE_LABELS = {
  identical: "identical files are one result",
  similar: "similar images are one result",
  none: "each image is a result",
};

/**
 * The conditions of a query that another one does not have.
 * @param {import("./query.js").Query} query
 * @param {import("./query.js").Query} other
 */
export function missingConditions(query, other) {
  const others = new Set(conditions(other).map(String));
  return conditions(query).filter((condition) => !others.has(String(condition)));
}

/**
 * @param {(kept: Parameter[]) => Promise<unknown>} onRemove Called with the conditions that are left.
 */
export function createKept(onRemove) {
  const element = el("ul", { class: "chips kept", "aria-label": "More conditions of the search" });

  /** @param {Parameter[]} kept */
  function show(kept) {
    element.replaceChildren(
      ...kept.map((condition, index) => {
        const text = describeCondition(condition);
        const remove = async () => {
          await onRemove(kept.filter((other) => other !== condition));
          focusNextRemove(element, index);
        };
        return el(
          "li",
          { class: "chip" },
          el("span", { class: "text", title: text }, text),
          button("×", remove, { class: "remove", "aria-label": `Remove: ${text}` }),
        );
      }),
    );
  }

  return { element, show };
}

/** @param {Parameter} condition */
function describeCondition([name, value]) {
  const label = LABELS[name] ?? name.replace(/^meta\./, "");
  if (name === "copies_only" && value === "true") return "only copies of the image";
  if (name === "exact" && value === "true") return "exact search";
  if (name === "collapse") return `${label}: ${COLLAPSE_LABELS[value] ?? value}`;
  if (name === "min_relevance" && Number.isFinite(Number(value)))
    return `${label}: ${Math.round(Number(value) * 100)} %`;
  const excludes = value.startsWith("!") && name !== "indexed_after";
  return `${label}: ${excludes ? `not ${value.slice(1)}` : value}`;
}
