// One picture, large, over the page.

import { Failure, ask } from "./api.js";
import { bytes, button, copyButton, el, say } from "./dom.js";
import { typing } from "./keys.js";
import * as queries from "./query.js";

/** From this score on a picture counts as the same. */
const SAME = "0.98";
/** Pictures smaller than this are shown larger, each pixel a square: one pixel alone is seen by nobody. */
const SMALL = 256;
/** Beyond this shape a picture that fits the screen is thinner than a pixel: it is shown thicker than it is. */
const THIN = 200;
/** Formats that may be seen through. */
const CLEAR = ["png", "webp", "gif"];

let dialog;

export function open(grid, index, { query, go }) {
  let at = index;
  const picture = el("img", { class: "large", alt: "" });
  const trouble = el("p", { class: "warning", role: "alert", hidden: true });
  const facts = el("div", { class: "facts" });
  const box = el("dialog", { class: "viewer", "aria-label": "Picture", tabIndex: -1, onclose: () => {
    box.remove();
    dialog = null;
    // The page has its scroll bar again and is narrower: before the rows are laid anew each is broken in two, and a picture
    // that gets the focus there has the page stand elsewhere.
    grid.lay();
    grid.focus(at);
  } });
  const before = button("‹", () => turn(-1), { class: "turn before", "aria-label": "The picture before" });
  const after = button("›", () => turn(1), { class: "turn after", "aria-label": "The next picture" });
  box.append(
    el("div", { class: "stage", onclick: (event) => { if (event.target === event.currentTarget) box.close(); } }, picture, trouble, before, after),
    el("aside", {}, button("×", () => box.close(), { class: "close", "aria-label": "Close" }), facts));
  picture.addEventListener("error", async () => {
    const hit = grid.hits[at];
    if (picture.dataset.fallback) return void (picture.hidden = true);
    picture.dataset.fallback = "yes";
    picture.src = hit.thumbnail;
    const why = await reason(hit);
    if (grid.hits[at] !== hit) return;
    trouble.textContent = why;
    trouble.hidden = false;
  });
  box.addEventListener("keydown", (event) => {
    if (typing(event)) return;
    if (event.key === "ArrowLeft") turn(-1);
    else if (event.key === "ArrowRight") turn(1);
    else if (event.key === "m") like();
  });

  const leave = async (address) => {
    box.close();
    await go(address);
    // Keys go on from the new results: the picture that had the focus is gone.
    document.querySelector(".hit")?.focus();
  };
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
    trouble.hidden = true;
    picture.hidden = false;
    fit(picture, hit);
    picture.src = hit.original;
    picture.alt = hit.s3_key;
    box.setAttribute("aria-label", hit.s3_key);
    const known = el("dl", {}, pairs([["Score", hit.score.toFixed(4)], ["Size", `${hit.width} × ${hit.height}`], ["Format", hit.format], ["URI", hit.s3_uri]]));
    facts.replaceChildren(
      el("h1", { class: "key" }, hit.s3_key),
      el("div", { class: "row" }, copyButton(hit.s3_key)),
      el("div", { class: "row" }, button("More like this", like, { class: "main" }), button("Find the same", same)),
      known);
    say(`${hit.s3_key}, ${at + 1} of ${grid.hits.length}`);
    const where = new URL(hit.original, location.href).searchParams;
    try {
      const record = await ask(`/images/${encodeURIComponent(hit.id)}?${where}`);
      if (grid.hits[at] !== hit) return;
      known.append(...pairs([["File", bytes(record.size_bytes)], ["Frames", record.frames > 1 ? record.frames : null], ["Indexed", new Date(record.indexed_at).toLocaleString()], ["SHA-256", record.content_sha256], ...Object.entries(record.meta)]));
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

/** As large as the picture is, or as the place allows; its shape is known before it is there. */
function fit(picture, { width, height, format }) {
  const grown = Math.max(1, Math.floor(SMALL / Math.max(width, height)));
  const ratio = width / height;
  picture.width = width;
  picture.height = height;
  picture.style.width = `min(100cqw, ${width * grown}px, ${100 * ratio}cqh)`;
  picture.classList.toggle("grown", grown > 1);
  picture.classList.toggle("thin", Math.max(ratio, 1 / ratio) > THIN);
  picture.classList.toggle("clear", CLEAR.includes(format));
}

/** Why the browser does not show the original of a hit: the service has it no more, or it is nothing for a browser. */
const reason = (hit) => ask(hit.original, { headers: { range: "bytes=0-0" } })
  .then(() => "This browser cannot show the file itself. What you see is its thumbnail.", (error) => error.message);

const pairs = (all) => all.filter(([, value]) => value !== null && value !== "").flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]);
