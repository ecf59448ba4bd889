// What was found: one column of pictures or two, and sentences above them.

import { Failure } from "./api.js";
import { column } from "./column.js";
import { common } from "./compare.js";
import { button, el, note, say } from "./dom.js";
import { page } from "./hits.js";
import * as queries from "./query.js";

/** What a store is when another may answer instead. */
const DOWN = ["unavailable", "dependency_failed", "dependency_timed_out", "dependency_refused", "dependency_misconfigured", "dependency_full"];

export class Results {
  /** The sentences. */
  about = el("div", { class: "about" });
  /** The columns. */
  element = el("div", { class: "results" });
  #grids = [];
  #running;
  #go;
  #again;

  /** `go` goes to an address, `again` asks once more. */
  constructor({ go, again }) {
    [this.#go, this.#again] = [go, again];
  }

  /** Gives up what is asked for, and what is there. */
  clear() {
    this.#running?.abort();
    for (const grid of this.#grids) grid.end();
    this.#grids = [];
    this.element.replaceChildren();
    this.about.replaceChildren();
  }

  /** Gives the focus to the first picture; says whether there is one. */
  focus() {
    if (!this.#grids[0]?.hits.length) return false;
    this.#grids[0].focus(0);
    return true;
  }

  async find(query, stores) {
    this.#running = new AbortController();
    const { signal } = this.#running;
    const names = query.compare?.split(",").slice(0, 2) ?? [query.provider];
    this.element.classList.toggle("beside", names.length === 2);
    this.element.setAttribute("aria-busy", "true");
    const asked = await Promise.allSettled(names.map((name) => page(query, name, 0, signal)));
    if (signal.aborted) return;
    this.element.removeAttribute("aria-busy");
    const wrong = asked.find((reply) => reply.reason && !(reply.reason instanceof Failure));
    if (wrong) throw wrong.reason;
    const replies = asked.map((reply) => reply.value);
    if (!replies.some(Boolean)) return this.#fail(query, stores, asked[0].reason);
    asked.forEach(({ value, reason }, side) => {
      if (!value) return this.element.append(el("section", {}, el("h2", {}, names[side]), note(reason.message, this.#tryAgain())));
      const { grid, element } = column(query, names, side, value, replies[1 - side], { signal, go: this.#go });
      this.#grids.push(grid);
      this.element.append(element);
      grid.lay();
    });
    tell(this.about, replies, names);
  }

  /** A sentence for what went wrong, and what to do next. */
  #fail(query, stores, error) {
    const elsewhere = stores.find((store) => store.ready && store.name !== (query.provider ?? stores[0].name));
    const down = DOWN.includes(error.code) && !query.compare && query.provider !== "all" && elsewhere;
    const next = {
      forgotten: [],
      unknown_collection: [link("/?view=jobs", "Index a bucket")],
    }[error.code] ?? [this.#tryAgain(), ...(down ? [link(queries.address({ ...query, provider: elsewhere.name }), `Search in ${elsewhere.name}`), link("/?view=status", "Status")] : [])];
    this.about.replaceChildren(note(error.message, el("div", { class: "row" }, next)));
    say(error.message);
  }

  #tryAgain() {
    return button("Try again", this.#again);
  }
}

const link = (href, words) => el("a", { class: "button", href }, words);

/** How long it took, what is left out, and what to do where nothing was found. */
function tell(about, replies, stores) {
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
