// The search: one field for words and a picture, and what was found.

import { Failure, ask } from "./api.js";
import { button, el, note, number, say } from "./dom.js";
import { catchPictures } from "./drop.js";
import { searchForm } from "./form.js";
import * as queries from "./query.js";
import { Results } from "./results.js";

let go, form, results, known;

export function show(main, goTo) {
  go = goTo;
  const again = () => changed();
  results = new Results({ go, again });
  form = searchForm({ submit: (query) => go(queries.address(query)), by, down: () => results.focus() });
  main.append(el("h1", { class: "visually-hidden" }, "Search"), form.element, results.about, results.element);
  const stop = catchPictures(main, by);
  choices().then(again);
  return () => { stop(); results.clear(); };
}

/** The address has changed: what it asks for is shown. */
export async function changed() {
  // The service was away when the page began; now it may be there.
  if (known.failure) await choices();
  const query = queries.read();
  form.fill(query);
  document.title = query.q ? `${query.q} · Glimpse` : "Glimpse";
  results.clear();
  if (queries.asks(query)) return results.find(query, known.stores);
  return welcome();
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
  const { about } = results;
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

/** Searches by a file, together with the words that are there. */
function by(file) {
  if (known.largest && file.size > known.largest) {
    results.clear();
    results.about.replaceChildren(note(`That file is too large: it has ${(file.size / 1e6).toFixed(1)} MB, ${(known.largest / 1e6).toFixed(0)} MB are allowed. Use a smaller version of it.`));
    return say(results.about.textContent);
  }
  const query = form.current();
  delete query.like;
  delete query.min_score;
  return go(queries.address({ ...query, pic: queries.keep(file) }));
}
