// The mirrors: what keeps collections up to date, and buttons that pause, resume and run them.

import { ApiError, fetchJson, sendJson } from "../api.js";
import { announce, button, el } from "../dom.js";
import { formatDateTime, formatNumber } from "../format.js";
import { may } from "../role.js";
import { stateBadge } from "./summary.js";

const COLUMNS = ["Mirror", "Source", "Collection", "State", "Last run", "Next run", "Lag", "Events"];

/** @typedef {"pause" | "resume" | "run"} Action */

/** @type {Record<Action, { label: string, done: string }>} */
const ACTIONS = {
  pause: { label: "Pause", done: "The mirror is paused." },
  resume: { label: "Resume", done: "The mirror is active." },
  run: { label: "Run now", done: "The run was submitted." },
};

/** Returns the section of mirrors, which is hidden while there are none. */
export function createMirrors() {
  const body = el("tbody");
  const errorText = el("p", { class: "error", role: "alert" });
  const table = el(
    "table",
    {},
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        [...COLUMNS, ...(may("write") ? ["Actions"] : [])].map((name) => el("th", { scope: "col" }, name)),
      ),
    ),
    body,
  );
  const section = el(
    "section",
    { class: "mirrors", "aria-label": "Mirrors", hidden: true },
    el("h1", {}, "Mirrors"),
    errorText,
    el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Table of mirrors" }, table),
  );
  let shown = "";

  /** Reads the mirrors again. Rows are replaced only if they change, so that no button loses the focus or a click. */
  async function refresh() {
    /** @type {MirrorsReply} */
    const { mirrors } = await fetchJson("/mirrors");
    const text = JSON.stringify(mirrors);
    if (text === shown) return;
    const focused = document.activeElement?.getAttribute("data-focus");
    shown = text;
    section.hidden = mirrors.length === 0;
    body.replaceChildren(...mirrors.flatMap((mirror) => mirrorRows(mirror, change)));
    const same = Array.from(body.querySelectorAll("button")).find((one) => one.dataset.focus === focused);
    same?.focus();
  }

  /**
   * @param {MirrorReply} mirror
   * @param {Action} action
   */
  async function change(mirror, action) {
    errorText.textContent = "";
    try {
      await sendJson("POST", `/mirrors/${encodeURIComponent(mirror.name)}/${action}`);
      announce(ACTIONS[action].done);
      await refresh();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      errorText.textContent = error.message;
    }
  }

  return { element: section, refresh };
}

/**
 * @param {MirrorReply} mirror
 * @param {(mirror: MirrorReply, action: Action) => Promise<void>} change
 */
function mirrorRows(mirror, change) {
  /** @type {Action[]} */
  const actions = [mirror.state === "active" ? "pause" : "resume", "run"];
  const texts = [mirror.reason, mirror.problem, ...(mirror.warnings ?? [])].filter(Boolean);
  const row = el(
    "tr",
    { class: texts.length ? "explained" : "" },
    el("td", {}, mirror.name),
    el("td", { class: "prefix" }, `${mirror.s3_bucket}/${mirror.s3_prefix}`),
    el("td", {}, mirror.collection),
    el("td", {}, stateBadge(mirror.state)),
    el("td", {}, lastRun(mirror)),
    el("td", {}, nextRun(mirror)),
    el("td", { class: "right" }, typeof mirror.lag_seconds === "number" ? `${mirror.lag_seconds.toFixed(1)} s` : ""),
    el("td", { class: "right" }, eventsText(mirror)),
    may("write") &&
      el(
        "td",
        {},
        actions.map((action) =>
          button(ACTIONS[action].label, () => change(mirror, action), {
            "aria-label": `${ACTIONS[action].label}: ${mirror.name}`,
            "data-focus": `${mirror.name} ${action}`,
          }),
        ),
      ),
  );
  const explanation = texts.map((text) => el("p", { class: "muted" }, text));
  return texts.length ? [row, el("tr", {}, el("td", { colSpan: row.cells.length }, explanation))] : [row];
}

/** @param {MirrorReply} mirror */
function lastRun({ last_run: run }) {
  if (!run) return "none";
  const href = `./?view=jobs&id=${encodeURIComponent(run.job_id)}`;
  return [el("a", { href }, formatDateTime(run.submitted_at)), " ", stateBadge(run.status)];
}

/** @param {MirrorReply} mirror */
function nextRun(mirror) {
  if (mirror.state !== "active") return "none";
  if (mirror.run_soon) return "now";
  return mirror.next_run ? formatDateTime(mirror.next_run) : "none";
}

/** @param {MirrorReply} mirror */
function eventsText(mirror) {
  if (!mirror.events) return "off";
  const waiting = mirror.waiting_keys ? `, ${formatNumber(mirror.waiting_keys)} waiting` : "";
  return `${formatNumber(mirror.events_per_minute)} / min${waiting}`;
}
