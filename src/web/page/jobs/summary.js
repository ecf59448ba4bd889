// The state, the progress and the counts of a job.

import { el } from "../dom.js";
import { formatCount, formatDuration, formatNumber, formatTime } from "../format.js";

/** @param {JobReply} job */
export function isFinal(job) {
  return ["SUCCEEDED", "FAILED", "STOPPED"].includes(job.status);
}

/** @param {JobState | MirrorState} state */
export function stateBadge(state) {
  const name = state.toLowerCase();
  return el("span", { class: `state ${name}` }, name);
}

/**
 * @param {JobReply} job
 * @param {boolean} connected Whether live updates arrive.
 */
export function renderSummary(job, connected) {
  const { counts } = job;
  const rate = rateText(job);
  /** @type {Array<[string, number]>} */
  const totals = [
    ["Listed", counts.listed],
    ["Unchanged", counts.unchanged],
    ["Skipped", counts.skipped],
    ["Indexed", counts.done],
    ["Failed", counts.failed],
    ["Removed", counts.deleted],
    ["Remaining", counts.left],
  ];
  return [
    el("h1", {}, `${job.s3_bucket}/${job.s3_prefix} → ${job.collection} `, stateBadge(job.status)),
    connected || isFinal(job) ? "" : warning("The service does not answer. The page reconnects by itself."),
    job.generation ? rebuildNote(job.collection, job.generation) : "",
    job.mirror ? muted(`A run of the mirror ${job.mirror}.`) : "",
    progressBar(job),
    rate ? muted(rate) : "",
    job.message ? el("p", { class: job.status === "FAILED" ? "error" : "muted" }, job.message) : "",
    job.paused_at ? warning(`Paused since ${formatTime(job.paused_at)}. It continues when it is resumed.`) : "",
    job.waiting_on ? warning(waitingText(job.waiting_on)) : "",
    el(
      "dl",
      { class: "counts" },
      totals.map(([name, count]) => el("div", {}, el("dt", {}, name), el("dd", {}, formatNumber(count)))),
    ),
    counts.skipped ? muted("Skipped: folders, thumbnails, and names without the extension of an image file.") : "",
    job.plan ? planSection(job.plan) : "",
  ];
}

/** @param {string} text */
function warning(text) {
  return el("p", { class: "warning" }, text);
}

/** @param {string} text */
function muted(text) {
  return el("p", { class: "muted" }, text);
}

/**
 * @param {string} collection
 * @param {number} generation
 */
function rebuildNote(collection, generation) {
  const href = `./?view=generations&collection=${encodeURIComponent(collection)}`;
  return el(
    "p",
    { class: "muted" },
    "A rebuild: it builds ",
    el("a", { href }, `generation ${generation} of ${collection}`),
    ".",
  );
}

/** @param {JobReply} job */
function progressBar(job) {
  const { listed, skipped, unchanged, done, failed } = job.counts;
  const max = Math.max(listed - skipped - unchanged, 1);
  return el("progress", { max, value: isFinal(job) ? max : done + failed, "aria-label": "Progress" });
}

/** @param {JobReply} job */
function rateText(job) {
  const { done, failed } = job.counts;
  const parts = [];
  if (done + failed > 0) {
    if (job.images_per_second != null) parts.push(`${job.images_per_second.toFixed(1)} images/s`);
    if (!isFinal(job) && job.images_per_second_overall) {
      parts.push(`${job.images_per_second_overall.toFixed(1)} images/s on average`);
    }
  }
  if (!isFinal(job) && job.eta_seconds != null) parts.push(`${formatDuration(job.eta_seconds)} remaining`);
  if (job.bottleneck) parts.push(job.bottleneck);
  return parts.join(" · ");
}

/** @param {WaitingReply} waiting */
function waitingText({ dependency, since, message, next_try: nextTry }) {
  const text = `Waiting for ${dependency} since ${formatTime(since)}: ${message}.`;
  return nextTry ? `${text} Next attempt at ${formatTime(nextTry)}.` : text;
}

/** @param {PlanReply} plan */
function planSection({ new: added, changed, deleted, examples }) {
  return el(
    "section",
    { class: "plan" },
    el("h2", {}, "Dry run: what the job would change"),
    planPart(`${formatCount(added, "new image")}`, examples.new),
    planPart(`${formatCount(changed, "changed image")}`, examples.changed),
    planPart(`${formatCount(deleted, "image")} to remove`, examples.deleted),
  );
}

/**
 * @param {string} heading
 * @param {string[]} keys
 */
function planPart(heading, keys) {
  const list = el(
    "ul",
    {},
    keys.map((key) => el("li", {}, key)),
  );
  return el("div", {}, el("h3", {}, heading), keys.length ? list : null);
}
