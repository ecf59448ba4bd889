// The failed images of a job, grouped by the class of the failure.

import { fetchJson } from "../api.js";
import { el } from "../dom.js";
import { formatCount, formatNumber } from "../format.js";
import { isFinal } from "./summary.js";

/** The minimum time between two requests while more images may fail. */
const REFRESH_INTERVAL_MS = 2000;
const MAX_FAILURES = 1000;
const MAX_EXAMPLES = 20;

/**
 * @param {string} jobPath
 */
export function createFailureList(jobPath) {
  const element = el("div", { class: "failures" });
  /** @type {JobReply | null} */
  let latest = null;
  let shownCount = 0;
  let refreshing = false;
  let ended = false;

  /**
   * Requests the failures if their number has changed. Only one request runs at a time, however fast images fail.
   * @param {JobReply} job
   */
  function update(job) {
    latest = job;
    if (!refreshing && job.counts.failed !== shownCount) refresh(job);
  }

  /** @param {JobReply} job */
  async function refresh(job) {
    refreshing = true;
    const loaded = await load(job);
    // A job that has ended has no more failures to wait for.
    if (!loaded || !isFinal(job)) await new Promise((resolve) => setTimeout(resolve, REFRESH_INTERVAL_MS));
    refreshing = false;
    if (!ended && latest) update(latest);
  }

  /** @param {JobReply} job */
  async function load(job) {
    try {
      /** @type {FailuresReply} */
      const reply = await fetchJson(`${jobPath}/failures?limit=${MAX_FAILURES}`);
      replaceGroups(reply);
      shownCount = job.counts.failed;
      return true;
    } catch {
      // The job's own live updates show that the service does not answer.
      return false;
    }
  }

  /**
   * Replaces the groups. Groups that were open stay open, and the focus stays where it was.
   * @param {FailuresReply} reply
   */
  function replaceGroups(reply) {
    const before = [...element.querySelectorAll("details")];
    const open = before.filter((group) => group.open).map((group) => group.dataset.class);
    const focused = before.find((group) => group.contains(document.activeElement))?.dataset.class;
    element.replaceChildren(...failureGroups(reply));
    for (const group of element.querySelectorAll("details")) {
      group.open = open.includes(group.dataset.class);
      if (focused && group.dataset.class === focused) group.querySelector("summary")?.focus();
    }
  }

  return {
    element,
    update,
    disconnect: () => {
      ended = true;
    },
  };
}

/** @param {FailuresReply} reply */
function failureGroups({ failures, total }) {
  if (!total) return [];
  /** @type {Map<FailureClass, FailureReply[]>} */
  const groups = new Map();
  for (const failure of failures) groups.set(failure.class, [...(groups.get(failure.class) ?? []), failure]);
  const largestFirst = [...groups].sort(([, a], [, b]) => b.length - a.length);
  const suffix = failures.length < total ? ` (of the first ${formatNumber(failures.length)})` : "";
  return [
    el("h2", {}, `${formatCount(total, "failed image")}`),
    ...largestFirst.map(([name, members]) =>
      el(
        "details",
        { "data-class": name },
        el("summary", {}, `${name.replaceAll("_", " ")}: ${formatNumber(members.length)}${suffix}`),
        el("ul", {}, members.slice(0, MAX_EXAMPLES).map(failureItem), moreItem(members.length)),
      ),
    ),
  ];
}

/** @param {FailureReply} failure */
function failureItem(failure) {
  return el("li", {}, el("b", {}, failure.s3_key), ` ${failure.message}`);
}

/** @param {number} count */
function moreItem(count) {
  return count > MAX_EXAMPLES ? el("li", {}, `and ${formatNumber(count - MAX_EXAMPLES)} more`) : null;
}
