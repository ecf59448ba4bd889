// What the service is made of, and whether it is there.

import { Failure, ask } from "./api.js";
import { el, note, number, stale } from "./dom.js";

export function show(root) {
  document.title = "Status · Glimpse";
  const place = el("div", { class: "status" });
  root.append(el("h1", {}, "Status"), place);
  const draw = async () => {
    try {
      const [status, all] = await Promise.all([ask("/status"), ask("/collections").catch(() => null)]);
      place.replaceChildren(...parts(status, all));
    } catch (error) {
      if (error instanceof Failure) stale(place, error.message);
    }
  };
  draw();
  const timer = setInterval(() => { if (!document.hidden) draw(); }, 5000);
  return () => clearInterval(timer);
}

const word = (ready) => el("span", { class: `state ${ready ? "succeeded" : "failed"}` }, ready ? "there" : "not there");

function parts(status, all) {
  const { provider } = status;
  return [
    el("p", {}, "Glimpse ", status.version, ": ", el("span", { class: `state ${status.status === "ready" ? "succeeded" : "failed"}` }, status.status)),
    el("h2", {}, "Embedding provider"),
    facts([["Name", provider.name], ["State", word(provider.ready)], ["Model", provider.model], ["Dimension", provider.dimension], ["Space", provider.space], ["Trouble", provider.message]]),
    el("h2", {}, "Stores"),
    table(["Store", "State", "Collections", "Images"], status.stores.map((store) => [store.name, store.message ? el("span", {}, word(store.ready), ` ${store.message}`) : word(store.ready), shown(store.collections), shown(store.images)])),
    ...(status.ray ? [el("h2", {}, "Ray cluster"), facts([["State", word(status.ray.ready)], ["Version", status.ray.version], ["To know", status.ray.message]])] : []),
    el("h2", {}, "Collections"),
    all?.collections.length
      ? table(["Collection", "Images", "Model", "Dimension"], all.collections.map((one) => [el("a", { href: `/?collection=${encodeURIComponent(one.name)}` }, one.name), shown(one.count), one.model, one.dimension]))
      : note("There is no collection yet: the first job makes one."),
    el("p", { class: "quiet" }, "For programs: ", el("a", { href: "/docs/", target: "_blank" }, "the API"), ", ", el("a", { href: "/metrics", target: "_blank" }, "metrics"), "."),
  ];
}

const shown = (count) => (count === null || count === undefined ? "–" : number(count));
const facts = (pairs) => el("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => [el("dt", {}, name), el("dd", {}, typeof value === "object" ? value : String(value))]));
const table = (names, rows) => el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": names[0] }, el("table", {},
  el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name)))),
  el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, typeof cell === "object" ? cell : String(cell))))))));
