// One picture, large, over the page.

import { Failure, ask } from "./api.js";
import { bytes, button, copyButton, el, say } from "./dom.js";
import { typing } from "./keys.js";
import * as queries from "./query.js";

/** From this score on a picture counts as the same. */
const SAME = "0.98";

let dialog;

export function open(grid, index, { query, go }) {
  let at = index;
  const picture = el("img", { class: "large", alt: "" });
  const facts = el("div", { class: "facts" });
  const box = el("dialog", { class: "viewer", "aria-label": "Picture", tabIndex: -1, onclose: () => { box.remove(); dialog = null; grid.focus(at); } });
  const before = button("‹", () => turn(-1), { class: "turn before", "aria-label": "The picture before" });
  const after = button("›", () => turn(1), { class: "turn after", "aria-label": "The next picture" });
  box.append(
    el("div", { class: "stage", onclick: (event) => { if (event.target === event.currentTarget) box.close(); } }, picture, before, after),
    el("aside", {}, button("×", () => box.close(), { class: "close", "aria-label": "Close" }), facts));
  picture.addEventListener("error", () => {
    if (picture.dataset.fallback) return;
    picture.dataset.fallback = "yes";
    picture.src = grid.hits[at].thumbnail;
  });
  box.addEventListener("keydown", (event) => {
    if (typing(event)) return;
    if (event.key === "ArrowLeft") turn(-1);
    else if (event.key === "ArrowRight") turn(1);
    else if (event.key === "m") like();
  });

  const leave = (address) => { box.close(); go(address); };
  const plain = { meta: [], ...(query.collection ? { collection: query.collection } : {}), ...(query.provider ? { provider: query.provider } : {}) };
  const like = () => leave(queries.address({ ...plain, like: grid.hits[at].id }));
  const same = () => leave(queries.address({ ...plain, like: grid.hits[at].id, min_score: SAME }));

  async function turn(step) {
    if (at + step < 0) return;
    if (at + step >= grid.hits.length && !(await grid.more?.())) return;
    at += step;
    draw();
  }

  async function draw() {
    const hit = grid.hits[at];
    before.disabled = at === 0;
    // A button that is disabled loses the focus, and keys go nowhere.
    if (!box.contains(document.activeElement) || document.activeElement.disabled) box.focus();
    delete picture.dataset.fallback;
    picture.width = hit.width;
    picture.height = hit.height;
    picture.src = hit.original;
    picture.alt = hit.s3_key;
    box.setAttribute("aria-label", hit.s3_key);
    facts.replaceChildren(
      el("h1", { class: "key" }, hit.s3_key),
      el("div", { class: "row" }, copyButton(hit.s3_key)),
      el("div", { class: "row" }, button("More like this", like, { class: "main" }), button("Find the same", same)),
      list([["Score", hit.score.toFixed(4)], ["Size", `${hit.width} × ${hit.height}`], ["Format", hit.format], ["URI", hit.s3_uri]]));
    say(`${hit.s3_key}, ${at + 1} of ${grid.hits.length}`);
    const where = new URL(hit.original, location.href).searchParams;
    try {
      const record = await ask(`/images/${encodeURIComponent(hit.id)}?${where}`);
      if (grid.hits[at] !== hit) return;
      facts.append(list([["File", bytes(record.size_bytes)], ["Frames", record.frames > 1 ? record.frames : null], ["Indexed", new Date(record.indexed_at).toLocaleString()], ["SHA-256", record.content_sha256], ...Object.entries(record.meta)]));
    } catch (error) {
      if (error instanceof Failure) facts.append(el("p", { class: "warning" }, error.message));
    }
  }

  dialog?.close();
  dialog = box;
  document.body.append(box);
  box.showModal();
  box.focus();
  draw();
}

const list = (pairs) => el("dl", {}, pairs.filter(([, value]) => value !== null && value !== "").map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]));
