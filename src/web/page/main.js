// Which view is shown, by the address; and what all views have in common.

import { ask, onLocked } from "./api.js";
import { button, note } from "./dom.js";
import { keys } from "./keys.js";
import { signIn, signOut } from "./session.js";

const views = {
  search: () => import("./search.js"),
  jobs: () => import("./jobs.js"),
  status: () => import("./status.js"),
};
const main = document.getElementById("main");
let leave = () => {};
let shown = null;

/** Shows what the address says. */
async function show() {
  const name = new URLSearchParams(location.search).get("view") ?? "search";
  const view = views[name] ?? views.search;
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const module = await view().catch(() => null);
  if (!module) {
    leave();
    [leave, shown] = [() => {}, null];
    // Browsers remember that a part of the page did not come: only a new page asks for it again.
    return main.replaceChildren(note("The service does not answer. Check that it runs, and load the page again.", button("Load the page again", () => location.reload())));
  }
  if (shown === name && module.changed) return module.changed();
  leave();
  main.replaceChildren();
  shown = name;
  leave = module.show(main, go) ?? (() => {});
}

/** Goes to another address of the page. */
export function go(address, { replace = false } = {}) {
  if (address === location.pathname + location.search && !replace) replace = true;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  return show();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !plain || link.target || !/^\/(\?|$)/.test(link.getAttribute("href"))) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
addEventListener("popstate", show);

let asking = null;
onLocked(() => {
  asking ??= signIn().then(() => { asking = null; shown = null; return begin(); });
});
document.getElementById("sign-out").addEventListener("click", async () => {
  await signOut();
  location.assign("/");
});
keys(document.getElementById("keys-button"));

async function begin() {
  const session = await ask("/session").catch(() => ({ required: false, signed_in: true }));
  document.getElementById("sign-out").hidden = !(session.required && session.signed_in);
  if (session.required && !session.signed_in) {
    await signIn();
    document.getElementById("sign-out").hidden = false;
  }
  await show();
  // The other views, while the service is there: they say themselves when it is not.
  for (const view of Object.values(views)) view().catch(() => {});
}

begin();
