// Shows the view that the address names, and what all views have in common.

import { fetchJson, onUnauthorized } from "./api.js";
import { button, byId, el, notice } from "./dom.js";
import { setRole } from "./role.js";
import { signIn, signOut } from "./session.js";
import { installShortcuts } from "./shortcuts.js";

/**
 * Shows another address of the page.
 * @typedef {(address: string, entry?: Entry) => Promise<unknown>} Navigate
 */

/**
 * The entry of the browser's history for an address.
 * @typedef {object} Entry
 * @property {boolean} [replace] Whether it replaces the current entry.
 * @property {boolean} [isShown] Whether the view already shows the address. The entry has the state of the one before too.
 * @property {object | null} [state] The first `history.state`.
 */

/**
 * Builds a view inside `root`.
 * @typedef {(root: HTMLElement, navigate: Navigate) => MountedView} Mount
 */

/**
 * @typedef {object} MountedView
 * @property {(fromHistory: boolean) => unknown} [update] Called if the address changes within the view; without it the view is built
 * again. `fromHistory` is set if the user went back or forward.
 * @property {() => unknown} [state] What the view needs to look as it does now. It is in `history.state` if the user comes back.
 * @property {() => void} unmount Ends timers and subscriptions.
 */

/** @type {Record<string, () => Promise<{ mount: Mount }>>} */
const VIEWS = {
  search: () => import("./search/view.js"),
  jobs: () => import("./jobs/view.js"),
  status: () => import("./status.js"),
  generations: () => import("./generations.js"),
};
const root = byId("main");
const signOutButton = byId("sign-out");

/** @type {{ name: string, view: MountedView } | null} */
let current = null;

/** Shows the view that the address names. */
async function render(fromHistory = false) {
  const requested = new URLSearchParams(location.search).get("view") ?? "search";
  const name = requested in VIEWS ? requested : "search";
  markCurrentLink(name);
  const module = await VIEWS[name]().catch(() => null);
  if (!module) {
    showLoadError();
  } else if (current?.name === name && current.view.update) {
    await current.view.update(fromHistory);
  } else {
    unmountCurrent();
    current = { name, view: module.mount(root, navigate) };
  }
}

/** @param {string} name */
function markCurrentLink(name) {
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.getAttribute("data-view") === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function unmountCurrent() {
  current?.view.unmount();
  current = null;
  root.replaceChildren();
}

function showLoadError() {
  unmountCurrent();
  // Browsers remember that a module failed to load; only a reload requests it again.
  root.append(
    notice(
      "The service does not answer. Check that it is running, then reload the page.",
      button("Reload page", () => location.reload()),
    ),
  );
}

/** Keeps how the view looks in the entry of the browser's history, for the back button and a reload. */
function keepState() {
  if (current?.view.state) history.replaceState(current.view.state(), "");
}

/** @type {Navigate} */
function navigate(address, { replace = false, isShown = false, state = null } = {}) {
  keepState();
  const first = isShown ? { ...history.state, ...state } : state;
  if (replace || new URL(address, location.href).href === location.href) history.replaceState(first, "", address);
  else history.pushState(first, "", address);
  return isShown ? Promise.resolve() : render();
}

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href^='./']") : null;
  const href = link?.getAttribute("href");
  const opensElsewhere = event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (!link || !href || opensElsewhere || link.hasAttribute("target") || !/^\.\/(\?|$)/.test(href)) return;
  event.preventDefault();
  navigate(href, link.hasAttribute("data-replace") ? { replace: true, state: history.state } : {});
});
addEventListener("popstate", () => render(true));
addEventListener("scrollend", keepState);
addEventListener("pagehide", keepState);

let signingIn = false;
onUnauthorized(async () => {
  // Several requests can fail at once; the user signs in once.
  if (signingIn) return;
  signingIn = true;
  await signIn();
  signingIn = false;
  unmountCurrent();
  await start();
});
signOutButton.addEventListener("click", async () => {
  await signOut();
  location.assign("./");
});
installShortcuts(byId("shortcuts-button"));

async function start() {
  /** @type {SessionReply} */
  let session = await fetchJson("/session").catch(() => ({ required: false, signed_in: true, sign_in: null }));
  if (session.no_role) return showNoRole(session.no_role);
  if (session.required && !session.signed_in) session = await signIn();
  setRole(session.role);
  signOutButton.hidden = session.sign_in !== "key";
  signOutButton.title = session.name ? `Signed in as ${session.name}, with the role ${session.role}` : "";
  await render();
  // Loads the other views now, so that they can show an error even if the service stops later.
  for (const load of Object.values(VIEWS)) load().catch(() => {});
}

/**
 * Shows a user whom a proxy has signed in why the page is empty.
 * @param {string} reason
 */
function showNoRole(reason) {
  root.append(
    el("h1", {}, "You have no role here"),
    el(
      "p",
      {},
      "You are signed in, but you may not see or change anything in this service. Ask its operator to give a role to you or to one of your groups, then reload the page.",
    ),
    el("p", { class: "muted" }, `The service reports: ${reason}.`),
    el(
      "div",
      { class: "row" },
      button("Use an API key", useKey),
      button("Reload page", () => location.reload()),
    ),
  );
}

/** Signs in with a key in place of the proxy's user. */
async function useKey() {
  await signIn();
  unmountCurrent();
  await start();
}

start();
