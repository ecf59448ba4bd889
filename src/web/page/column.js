// A column of results: the first page of them, and the next ones.

import { Failure } from "./api.js";
import { marks } from "./compare.js";
import { button, el, note, number } from "./dom.js";
import { Grid } from "./grid.js";
import { PAGE, page } from "./hits.js";
import { open } from "./viewer.js";

const MOST = 10_000;

/** The pictures of one store, beside another's where there are two; more of them as one scrolls. */
export function column(query, stores, side, reply, other, { signal, go }) {
  const grid = new Grid((index) => open(grid, index, { query, go }), `Results${stores[1] ? ` of ${stores[side]}` : ""}`);
  const end = el("div", { class: "end" });
  const element = el("section", {}, stores[1] ? el("h2", {}, stores[side]) : null, grid.list, end);
  const size = Math.min(PAGE, Number(query.limit) || PAGE);
  grid.add(reply.results, other ? marks(reply.results, other.results, stores[1 - side], other.results.length === size) : []);
  let more = reply.results.length === size && !query.limit && !stores[1];
  let loading = false;
  const near = new IntersectionObserver((entries) => { if (entries.at(-1).isIntersecting) grid.more(); }, { rootMargin: "800px" });
  near.observe(end);
  signal.addEventListener("abort", () => near.disconnect());
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
      // Looked at anew: where the end left and came back between two looks, nobody would be told.
      near.unobserve(end);
      if (more && !signal.aborted) near.observe(end);
      if (!more && !end.firstChild && grid.hits.length > size) end.append(el("p", { class: "quiet" }, `${number(grid.hits.length)} results, and that is all.`));
    }
  };
  return { grid, element };
}
