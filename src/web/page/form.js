// The form of the search: words, a picture, filters.

import { button, el, field, number } from "./dom.js";
import * as queries from "./query.js";

/**
 * The form, filled from a query and read into one. `submit` is told when it is sent, `by` which picture to search by, and
 * `down` that the focus goes on to the results; it says whether there are any.
 */
export function searchForm({ submit, by, down }) {
  let usual = "";
  const words = el("input", { id: "words", type: "search", name: "q", placeholder: "a fox carrying a fish", autocomplete: "off", maxLength: 1000, "aria-label": "Words to search for",
    onkeydown: (event) => { if (event.key === "ArrowDown" && down()) event.preventDefault(); } });
  const file = el("input", { type: "file", accept: "image/jpeg,image/png,image/webp,image/gif", class: "visually-hidden", tabIndex: -1, "aria-hidden": "true", onchange: () => { if (file.files[0]) by(file.files[0]); file.value = ""; } });
  const chip = el("div", { class: "chip", hidden: true });
  const collection = el("select", { name: "collection" });
  const provider = el("select", { name: "provider" });
  const filters = {
    s3_prefix: el("input", { placeholder: "images/2024/", spellcheck: false }),
    format: el("select", {}, ["", "jpeg", "png", "webp", "gif"].map((kind) => el("option", { value: kind }, kind || "any"))),
    min_width: el("input", { type: "number", min: 1 }),
    min_height: el("input", { type: "number", min: 1 }),
    indexed_after: el("input", { type: "date" }),
  };
  // One pair a line: values have commas.
  const meta = el("textarea", { rows: 1, placeholder: "taxon=Felis catus", spellcheck: false, title: "name=value, one on each line",
    oninput: () => { meta.rows = Math.min(5, meta.value.split("\n").length); meta.setCustomValidity(pairs().every(([name, value]) => name && value !== undefined) ? "" : "Write name=value, one on each line."); } });
  const pairs = () => meta.value.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
    const at = line.indexOf("=");
    return at < 0 ? [line] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  });
  const min = el("input", { type: "number", min: -1, max: 1, step: 0.01 });
  const more = el("details", { class: "filters" }, el("summary", {}, "Filters"),
    el("div", { class: "fields" },
      field("In the folder", filters.s3_prefix), field("Format", filters.format), field("At least so wide", filters.min_width),
      field("At least so high", filters.min_height), field("Indexed after", filters.indexed_after), field("Metadata", meta), field("At least this score", min)));
  let picture = {};
  const element = el("form", { class: "search", role: "search", onsubmit: (event) => { event.preventDefault(); submit(current()); } },
    el("div", { class: "ask-row" }, words, file,
      button("Picture…", () => file.click(), { title: "Search by a picture: choose, drop or paste one" }),
      button("Search", undefined, { type: "submit", class: "main" })),
    chip,
    el("div", { class: "options" }, field("Collection", collection), field("Store", provider), more));

  for (const choice of [collection, provider]) choice.addEventListener("change", () => { if (queries.asks(current())) element.requestSubmit(); });

  /** The query that the form stands for. */
  function current() {
    const store = provider.value.startsWith("compare:") ? { compare: provider.value.slice(8) } : { provider: provider.value };
    const after = filters.indexed_after.value;
    return {
      q: words.value.trim(), ...picture, ...store, collection: collection.value, min_score: min.value,
      ...Object.fromEntries(Object.entries(filters).map(([name, input]) => [name, input.value.trim()])),
      s3_prefix: filters.s3_prefix.value.trim() && filters.s3_prefix.value.trim().replace(/\/*$/, "/"),
      indexed_after: after && `${after}T00:00:00Z`,
      meta: pairs().filter(([name, value]) => name && value !== undefined),
    };
  }

  function fill(query) {
    words.value = query.q ?? "";
    picture = query.like ? { like: query.like } : query.pic ? { pic: query.pic } : {};
    if (query.collection && ![...collection.options].some((option) => option.value === query.collection)) {
      // The usual one may stand for itself by name; another that is not there is shown all the same.
      if (query.collection === usual) collection.value = "";
      else collection.append(el("option", { value: query.collection }, query.collection));
    }
    collection.value = query.collection === usual ? "" : query.collection ?? "";
    provider.value = query.compare ? `compare:${query.compare}` : query.provider ?? "";
    for (const [name, input] of Object.entries(filters)) input.value = (query[name] ?? "").slice(0, name === "indexed_after" ? 10 : undefined);
    meta.value = query.meta.map((pair) => pair.join("=")).join("\n");
    meta.rows = Math.max(1, Math.min(5, query.meta.length));
    meta.setCustomValidity("");
    min.value = query.min_score ?? "";
    more.open = more.open || Boolean(meta.value || min.value || queries.FILTERS.some((name) => query[name]));
    showChip(query);
  }

  function showChip(query) {
    chip.hidden = !(query.like || query.pic);
    chip.replaceChildren();
    if (chip.hidden) return;
    const file = query.pic && queries.kept(query.pic);
    const where = new URLSearchParams(query.collection ? { collection: query.collection } : {});
    const source = query.like ? `/images/${encodeURIComponent(query.like)}/thumbnail?${where}` : file ? URL.createObjectURL(file) : null;
    chip.append(
      source ? el("img", { src: source, alt: "", height: 40, onload: () => file && URL.revokeObjectURL(source) }) : "",
      el("span", {}, query.like ? "like this picture" : file ? file.name || "the pasted picture" : "a picture"),
      button("×", () => { const without = current(); delete without.like; delete without.pic; delete without.min_score; submit(without); }, { "aria-label": "Search without the picture" }));
  }

  /** What there is to choose from. */
  function offer({ collections, stores, collection: name }) {
    usual = name;
    const names = new Set([usual, ...collections.map((one) => one.name)].filter(Boolean));
    const count = (name) => collections.find((one) => one.name === name)?.count ?? 0;
    collection.replaceChildren(...[...names].map((name) => el("option", { value: name === usual ? "" : name }, `${name} (${number(count(name))})`)));
    const options = stores.map((store, at) => el("option", { value: at ? store.name : "" }, store.ready ? store.name : `${store.name} (not there)`));
    if (stores.length > 1) {
      options.push(el("option", { value: "all" }, "all together"));
      stores.forEach((one, at) => stores.slice(at + 1).forEach((other) =>
        options.push(el("option", { value: `compare:${one.name},${other.name}` }, `${one.name} beside ${other.name}`))));
    }
    provider.replaceChildren(...options);
    provider.closest("label").hidden = stores.length < 2;
  }

  return { element, fill, offer, current };
}
