// A justified grid: rows of one height each, as wide as the page, every picture in its own shape. Sizes are known before the
// pictures are, so that nothing jumps.

import { el } from "./dom.js";

const GAP = 8;
const LABEL = 34;
/** Shapes beyond these are shown at these, whole, with empty space beside them. */
const NARROWEST = 0.45;
const WIDEST = 3.2;

const shape = (hit) => Math.min(WIDEST, Math.max(NARROWEST, (hit.width || 1) / (hit.height || 1)));

export class Grid {
  /** `onOpen(index)` when a picture is chosen. */
  constructor(onOpen, label) {
    this.onOpen = onOpen;
    this.hits = [];
    this.tiles = [];
    this.list = el("ul", { class: "grid", "aria-label": label });
    this.list.addEventListener("keydown", (event) => this.move(event));
    this.watch = new ResizeObserver(() => this.lay());
    this.watch.observe(this.list);
  }

  /** Shows more hits; `span` are the lowest and highest scores of all that are shown. */
  add(hits, marks = []) {
    for (const [at, hit] of hits.entries()) {
      const index = this.hits.length;
      this.hits.push(hit);
      const bar = el("span", { class: "bar" }, el("span"));
      const picture = el("img", { src: hit.thumbnail, alt: "", loading: index < 24 ? "eager" : "lazy", decoding: "async", draggable: false });
      picture.addEventListener("error", () => this.gone(picture, hit), { once: true });
      // What stands under a picture is part of its name, as it stands there: who speaks to the page says what they see.
      const mark = [marks[at], hit.identical ? { kind: "same", short: "same file" } : null].filter(Boolean);
      const seen = [hit.score.toFixed(3), ...mark.map(({ short }) => short)];
      const words = [hit.s3_key, `score ${seen.join(" ")}`, `result ${index + 1}`, ...mark.flatMap(({ words }) => words ?? [])].join(", ");
      const tile = el("button", { type: "button", class: "hit", title: hit.s3_key, "aria-label": words, tabIndex: index ? -1 : 0, onclick: () => this.onOpen(index), onfocus: () => this.rove(index) },
        picture,
        el("span", { class: "score" }, bar, el("span", {}, seen[0]), mark.map(({ kind, short, words }) => [" ", el("span", { class: `mark ${kind}`, title: words }, short)])));
      this.tiles.push({ tile, bar: bar.firstChild, item: el("li", {}, tile) });
      this.list.append(this.tiles[index].item);
    }
    this.scale();
    this.lay();
  }

  /** Words in place of a picture that does not come. */
  gone(picture, hit) {
    const words = el("span", { class: "gone" }, `${hit.s3_key.split("/").at(-1)} cannot be shown just now`);
    words.style.height = picture.style.height;
    picture.replaceWith(words);
  }

  /** Bars over what the results span: a cosine by itself says little. */
  scale() {
    const scores = this.hits.map((hit) => hit.score);
    const [low, high] = [Math.min(...scores), Math.max(...scores)];
    this.tiles.forEach(({ bar }, index) => {
      const share = high > low ? (scores[index] - low) / (high - low) : 1;
      bar.style.width = `${Math.round(6 + 94 * share)}%`;
    });
  }

  lay() {
    // Not `clientWidth`, which rounds up: one pixel too many wraps every row.
    const width = Math.floor(this.list.getBoundingClientRect().width);
    if (!width) return;
    const target = width < 560 ? 132 : width < 1800 ? 190 : 236;
    let row = [];
    let shapes = 0;
    const filled = (count, ratios) => (width - GAP * (count - 1)) / ratios;
    const close = (height) => {
      for (const { index, ratio } of row) {
        const { item, tile } = this.tiles[index];
        item.style.width = `${Math.floor(ratio * height * 100) / 100}px`;
        item.style.height = `${Math.round(height) + LABEL}px`;
        tile.firstChild.style.height = `${Math.round(height)}px`;
      }
      row = [];
      shapes = 0;
    };
    this.hits.forEach((hit, index) => {
      const ratio = shape(hit);
      const without = filled(row.length, shapes);
      // A wide one after narrow ones would make them all tiny: where the row is nearer to the target without it, it is full.
      if (row.length && target / filled(row.length + 1, shapes + ratio) > Math.max(1, without / target)) close(without);
      row.push({ index, ratio });
      shapes += ratio;
      if (filled(row.length, shapes) <= target) close(filled(row.length, shapes));
    });
    if (row.length) close(Math.min(target, filled(row.length, shapes)));
  }

  /** One stop for the tab key; arrows go from there. */
  rove(index) {
    for (const { tile } of this.tiles) tile.tabIndex = -1;
    this.tiles[index].tile.tabIndex = 0;
  }

  focus(index) {
    this.tiles[Math.max(0, Math.min(index, this.tiles.length - 1))]?.tile.focus();
  }

  move(event) {
    const index = this.tiles.findIndex(({ tile }) => tile === document.activeElement);
    if (index < 0) return;
    const to = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: this.tiles.length - 1 }[event.key] ?? this.beyond(index, event.key);
    if (to === undefined) return;
    event.preventDefault();
    if (to >= 0 && to < this.tiles.length) this.focus(to);
  }

  /** The picture above or below that is nearest to the middle of this one. */
  beyond(index, key) {
    if (key !== "ArrowUp" && key !== "ArrowDown") return undefined;
    const box = this.tiles[index].item.getBoundingClientRect();
    const middle = (box.left + box.right) / 2;
    const step = key === "ArrowDown" ? 1 : -1;
    let best = -1;
    let least = Infinity;
    let top = null;
    for (let at = index + step; at >= 0 && at < this.tiles.length; at += step) {
      const other = this.tiles[at].item.getBoundingClientRect();
      if (Math.abs(other.top - box.top) < 2) continue;
      top ??= other.top;
      if (Math.abs(other.top - top) > 2) break;
      const distance = Math.abs((other.left + other.right) / 2 - middle);
      if (distance < least) [best, least] = [at, distance];
    }
    return best;
  }

  end() {
    this.watch.disconnect();
  }
}
