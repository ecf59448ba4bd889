// The search: one field for words and a picture, filters, results.

import { Failure, ask } from "./api.js";
import { common, marks } from "./compare.js";
import { button, el, field, note, number, say } from "./dom.js";
import { catchPictures } from "./drop.js";
import { Grid } from "./grid.js";
import * as queries from "./query.js";
import { open } from "./viewer.js";

const PAGE = 50;
const MOST = 10_000;
/** What a store is when another may answer instead. */
const DOWN = ["unavailable", "dependency_failed", "dependency_timed_out", "dependency_refused", "dependency_full"];

let root, go, form, results, about, running, grids, known;

export function show(main, goTo) {
  [root, go] = [main, goTo];
  about = el("div", { class: "about" });
  results = el("div", { class: "results" });
  form = searchForm();
  root.append(el("h1", { class: "visually-hidden" }, "Search"), form.element, about, results);
  const stop = catchPictures(root, by);
  choices().then(() => changed());
  return () => { stop(); clear(); running?.abort(); };
}

/** The address has changed: what it asks for is shown. */
export async function changed() {
  // The service was away when the page began; now it may be there.
  if (known.failure) await choices();
  const query = queries.read();
  form.fill(query);
  document.title = query.q ? `${query.q} · Glimpse` : "Glimpse";
  clear();
  running?.abort();
  if (queries.asks(query)) return find(query);
  return welcome();
}

function clear() {
  for (const grid of grids ?? []) grid.end();
  grids = [];
  results.replaceChildren();
  about.replaceChildren();
}

/** What there is to choose from. */
async function choices() {
  known = { collections: [], stores: [], collection: "" };
  try {
    const [status, all] = await Promise.all([ask("/status"), ask("/collections").catch(() => ({ collections: [] }))]);
    known = { collections: all.collections, stores: status.stores, collection: status.collection, largest: status.max_image_bytes };
  } catch (error) {
    if (error instanceof Failure) known.failure = error;
  }
  form.offer(known);
}

function welcome() {
  const name = queries.read().collection ?? known.collection;
  if (known.failure) return about.replaceChildren(note(known.failure.message, button("Try again", () => changed())));
  const here = known.collections.find((collection) => collection.name === name);
  if (here?.count) {
    about.append(el("p", { class: "quiet" }, `${number(here.count)} pictures in “${name}”. Describe what you look for, or drop a picture here.`));
  } else if (known.stores.length) {
    about.append(note(here ? `The collection “${name}” is empty.` : `Nothing is indexed in “${name}” yet.`,
      el("a", { class: "button main", href: "/?view=jobs" }, "Index a bucket")));
  }
}

/** The form, filled from a query and read into one. */
function searchForm() {
  const words = el("input", { id: "words", type: "search", name: "q", placeholder: "a fox carrying a fish", autocomplete: "off", maxLength: 1000, "aria-label": "Words to search for",
    onkeydown: (event) => { if (event.key === "ArrowDown" && grids[0]?.hits.length) { event.preventDefault(); grids[0].focus(0); } } });
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
  const meta = el("input", { placeholder: "taxon=Felis catus", spellcheck: false });
  const min = el("input", { type: "number", min: -1, max: 1, step: 0.01 });
  const more = el("details", { class: "filters" }, el("summary", {}, "Filters"),
    el("div", { class: "fields" },
      field("In the folder", filters.s3_prefix), field("Format", filters.format), field("At least so wide", filters.min_width),
      field("At least so high", filters.min_height), field("Indexed after", filters.indexed_after), field("Metadata", meta), field("At least this score", min)));
  let picture = {};
  const element = el("form", { class: "search", role: "search", onsubmit: (event) => { event.preventDefault(); go(queries.address(current())); } },
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
    const pairs = meta.value.split(",").map((pair) => pair.trim().split("=")).filter(([name, ...rest]) => name && rest.length);
    return {
      q: words.value.trim(), ...picture, ...store, collection: collection.value, min_score: min.value,
      ...Object.fromEntries(Object.entries(filters).map(([name, input]) => [name, input.value.trim()])),
      s3_prefix: filters.s3_prefix.value.trim() && filters.s3_prefix.value.trim().replace(/\/*$/, "/"),
      indexed_after: after && `${after}T00:00:00Z`,
      meta: pairs.map(([name, ...rest]) => [name, rest.join("=")]),
    };
  }

  function fill(query) {
    words.value = query.q ?? "";
    picture = query.like ? { like: query.like } : query.pic ? { pic: query.pic } : {};
    if (query.collection && ![...collection.options].some((option) => option.value === query.collection)) {
      // The usual one may stand for itself by name; another that is not there is shown all the same.
      if (query.collection === known?.collection) collection.value = "";
      else collection.append(el("option", { value: query.collection }, query.collection));
    }
    collection.value = query.collection === known?.collection ? "" : query.collection ?? "";
    provider.value = query.compare ? `compare:${query.compare}` : query.provider ?? "";
    for (const [name, input] of Object.entries(filters)) input.value = (query[name] ?? "").slice(0, name === "indexed_after" ? 10 : undefined);
    meta.value = query.meta.map((pair) => pair.join("=")).join(", ");
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
      button("×", () => { const without = current(); delete without.like; delete without.pic; delete without.min_score; go(queries.address(without)); }, { "aria-label": "Search without the picture" }));
  }

  function offer({ collections, stores, collection: usual }) {
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

/** Searches by a file, together with the words that are there. */
function by(file) {
  if (known.largest && file.size > known.largest) {
    clear();
    about.replaceChildren(note(`That file is too large: it has ${(file.size / 1e6).toFixed(1)} MB, ${(known.largest / 1e6).toFixed(0)} MB are allowed. Use a smaller version of it.`));
    return say(about.textContent);
  }
  const query = form.current();
  delete query.like;
  delete query.min_score;
  return go(queries.address({ ...query, pic: queries.keep(file) }));
}

/** One page of hits of one store. */
async function page(query, provider, offset, signal) {
  const given = queries.parameters(query, { provider, limit: Math.min(PAGE, Number(query.limit) || PAGE), offset });
  if (!query.pic) return ask(`/search/images?${given}`, { signal });
  const file = queries.kept(query.pic);
  if (!file) throw new Failure("forgotten", "The picture that was searched by is forgotten when the page is loaded anew. Drop or choose it again.");
  const body = new FormData();
  body.append("file", file, file.name || "pasted");
  return ask(`/search/images?${given}`, { method: "POST", body, signal });
}

async function find(query) {
  running = new AbortController();
  const { signal } = running;
  const stores = query.compare?.split(",").slice(0, 2) ?? [query.provider];
  results.classList.toggle("beside", stores.length === 2);
  results.setAttribute("aria-busy", "true");
  const asked = await Promise.allSettled(stores.map((store) => page(query, store, 0, signal)));
  if (signal.aborted) return;
  results.removeAttribute("aria-busy");
  const wrong = asked.find((reply) => reply.reason && !(reply.reason instanceof Failure));
  if (wrong) throw wrong.reason;
  const replies = asked.map((reply) => reply.value);
  if (!replies.some(Boolean)) return fail(query, asked[0].reason);
  asked.forEach(({ value, reason }, side) => (value ? column(query, stores, side, value, replies[1 - side], signal) : lost(stores[side], reason)));
  tell(replies, stores);
}

/** A sentence for what went wrong, and what to do next. */
function fail(query, error) {
  const again = button("Try again", () => changed());
  const elsewhere = known.stores.find((store) => store.ready && store.name !== (query.provider ?? known.stores[0].name));
  const down = DOWN.includes(error.code) && !query.compare && query.provider !== "all" && elsewhere;
  const next = {
    forgotten: [],
    unknown_collection: [link("/?view=jobs", "Index a bucket")],
  }[error.code] ?? [again, ...(down ? [link(queries.address({ ...query, provider: elsewhere.name }), `Search in ${elsewhere.name}`), link("/?view=status", "Status")] : [])];
  about.replaceChildren(note(error.message, el("div", { class: "row" }, next)));
  say(error.message);
}

const link = (href, words) => el("a", { class: "button", href }, words);

/** In the place of one of two stores. */
function lost(store, error) {
  results.append(el("section", {}, el("h2", {}, store), note(error.message, button("Try again", () => changed()))));
}

/** How long it took, what is left out, and what to do where nothing was found. */
function tell(replies, stores) {
  const there = replies.filter(Boolean);
  const took = ({ took_ms: took, model }) => `Found in ${(took.embed + took.search).toFixed(0)} ms: ${took.embed.toFixed(0)} for the question's vector, ${took.search.toFixed(1)} in the store. Model ${model}.`;
  const words = !there.some((reply) => reply.results.length) ? null
    : there.length === 2 ? `${common(replies.map((reply) => reply.results))} Found in ${replies.map((reply, side) => `${reply.took_ms.search.toFixed(1)} ms in ${stores[side]}`).join(", ")}.`
      : took(there[0]);
  about.replaceChildren(
    ...(words ? [el("p", { class: "quiet", id: "took" }, words)] : [note("Nothing was found. Take away a filter, or choose another collection.", link("/?view=jobs", "Index more"))]),
    ...there.flatMap((reply) => reply.warnings ?? []).map((warning) => el("p", { class: "warning" }, `${warning}. What you see is from the others.`)));
  say(words ?? "Nothing was found.");
}

function column(query, stores, side, reply, other, signal) {
  const grid = new Grid((index) => open(grid, index, { query, go }), `Results${stores[1] ? ` of ${stores[side]}` : ""}`);
  grids.push(grid);
  const end = el("div", { class: "end" });
  const part = el("section", {}, stores[1] ? el("h2", {}, stores[side]) : null, grid.list, end);
  results.append(part);
  const size = Math.min(PAGE, Number(query.limit) || PAGE);
  grid.add(reply.results, other ? marks(reply.results, other.results, stores[1 - side], other.results.length === size) : []);
  let more = reply.results.length === size && !query.limit && !stores[1];
  let loading = false;
  grid.more = async () => {
    if (!more || loading) return false;
    loading = true;
    try {
      const next = await page(query, stores[side], grid.hits.length, signal);
      grid.add(next.results, []);
      more = next.results.length === size && grid.hits.length + size <= MOST;
      return next.results.length > 0;
    } catch (error) {
      more = false;
      if (error instanceof Failure) end.replaceChildren(note(error.message, button("Go on", () => { more = true; end.replaceChildren(); grid.more(); })));
      return false;
    } finally {
      loading = false;
      if (!more && !end.firstChild && grid.hits.length > size) end.append(el("p", { class: "quiet" }, `${number(grid.hits.length)} results, and that is all.`));
    }
  };
  const near = new IntersectionObserver(async ([entry]) => {
    while (entry.isIntersecting && more && (await grid.more()) && end.getBoundingClientRect().top < innerHeight + 800);
  }, { rootMargin: "800px" });
  near.observe(end);
  signal.addEventListener("abort", () => near.disconnect());
}
