// The images that were removed permanently, with buttons that restore them. They are read when the section is opened.

import { ApiError, fetchJson } from "../api.js";
import { announce, button, el } from "../dom.js";
import { formatDateTime, formatNumber } from "../format.js";
import { may } from "../role.js";

const PAGE_SIZE = 50;

/** Returns the section, which is closed. */
export function createRemovedImages() {
  const content = el("div");
  const section = el("details", { class: "removed-images" }, el("summary", {}, "Images removed permanently"), content);

  async function load() {
    try {
      /** @type {CollectionsReply} */
      const { collections } = await fetchJson("/collections");
      const lists = [];
      for (const { name } of collections) lists.push(await collectionList(name));
      const shown = lists.filter((list) => list !== null);
      content.replaceChildren(
        ...(shown.length ? shown : [el("p", { class: "muted" }, "No image was removed permanently.")]),
      );
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      content.replaceChildren(el("p", { class: "error", role: "alert" }, error.message));
    }
  }

  section.addEventListener("toggle", () => {
    if (section.open) load();
  });
  return section;
}

/**
 * The removed images of a collection, page by page; null if it has none.
 * @param {string} collection
 */
async function collectionList(collection) {
  const address = `/collections/${encodeURIComponent(collection)}/removed-images`;
  /**
   * @param {number | null} after
   * @returns {Promise<RemovedImagesReply>}
   */
  const readPage = (after) => fetchJson(`${address}?limit=${PAGE_SIZE}${after === null ? "" : `&after=${after}`}`);
  const first = await readPage(null);
  if (!first.total) return null;
  let { total } = first;
  /** @param {number} count */
  const title = (count) => `${collection} (${formatNumber(count)})`;
  const heading = el("h2", {}, title(total));
  const list = el("ul", {});
  const failure = el("p", { class: "error", role: "alert", hidden: true });
  const more = button("Show more", () => attempt(async () => append(await readPage(next))));
  let { next = null } = first;

  /** @param {RemovedImagesReply} page */
  function append(page) {
    list.append(...page.removed_images.map(item));
    next = page.next ?? null;
    more.hidden = next === null;
  }

  /** @param {() => Promise<void>} action */
  async function attempt(action) {
    failure.hidden = true;
    try {
      await action();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      failure.textContent = error.message;
      failure.hidden = false;
    }
  }

  /** @param {RemovedImagesReply["removed_images"][number]} image */
  function item({ id, s3_uri, removed_at }) {
    const row = el("li", {}, `${s3_uri}, ${formatDateTime(removed_at)} `);
    if (!may("write")) return row;
    const restore = button("Restore", () =>
      attempt(async () => {
        await fetchJson(`${address}/${encodeURIComponent(id)}`, { method: "DELETE" });
        heading.textContent = title(--total);
        row.replaceChildren(`${s3_uri}: restored. The next job indexes it again.`);
        announce("The image is restored. The next job indexes it again.");
      }),
    );
    restore.setAttribute("aria-label", `Restore ${s3_uri}`);
    row.append(restore);
    return row;
  }

  append(first);
  return el("section", {}, heading, list, failure, more);
}
