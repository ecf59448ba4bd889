// One job, live: how it gets on, what failed, what it says.

import { Failure, ask, follow, send } from "./api.js";
import { button, confirm, el, note, number, say } from "./dom.js";

const LINES = 2000;
/** Between two looks at what failed, while more may. */
const PAUSE = 2000;
const final = (job) => ["SUCCEEDED", "FAILED", "STOPPED"].includes(job.status);

export function watch(root, id, go) {
  const path = `/jobs/${encodeURIComponent(id)}`;
  const facts = el("div", {});
  const trouble = el("p", { class: "wrong", role: "alert", hidden: true });
  const actions = el("div", { class: "row" });
  const head = el("div", { class: "job" }, facts, trouble, actions);
  const failures = el("div", { class: "failures" });
  const log = el("pre", { class: "log", tabIndex: 0, role: "log", "aria-label": "What the job says" });
  root.append(el("p", {}, el("a", { href: "/?view=jobs" }, "← All jobs")), head, failures, el("h2", {}, "Log"), log);
  let job = null;
  let there = true;
  let offered = "";
  let grouped = -1;
  let grouping = false;
  let ends = [];
  let left = false;

  const draw = () => {
    if (!job) return;
    facts.replaceChildren(...summary(job, there));
    // Buttons stay as they are while they are the same: nobody's focus is lost, and no click.
    const offers = offer(job);
    if (offers.join() !== offered) {
      offered = offers.join();
      const made = { stop: () => button("Stop", stop, { class: "danger" }), retry: () => button("Try the failed ones again", retry, { class: "main" }),
        go_on: () => button("Continue this job", retry, { class: "main" }),
        search: () => el("a", { class: "button", href: `/?collection=${encodeURIComponent(job.collection)}` }, "Search in it") };
      actions.replaceChildren(...offers.map((name) => made[name]()));
    }
    if (job.counts.failed !== grouped && !grouping) regroup();
  };

  /** One look at a time, however fast images fail. What is unfolded stays so, and the focus where it is. */
  async function regroup() {
    grouping = true;
    grouped = job.counts.failed;
    try {
      const parts = await group(path);
      const shown = (all) => [...failures.querySelectorAll("details")].filter(all).map((one) => one.dataset.class);
      const [open, focused] = [shown((one) => one.open), shown((one) => one.contains(document.activeElement))];
      failures.replaceChildren(...parts);
      for (const one of failures.querySelectorAll("details")) {
        one.open = open.includes(one.dataset.class);
        if (focused.includes(one.dataset.class)) one.firstChild.focus();
      }
    } catch {
      grouped = -1;
    }
    if (grouped < 0 || !final(job)) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    grouping = false;
    if (!left) draw();
  }

  async function stop() {
    if (!(await confirm("Stop this job? What it has indexed stays; another job goes on from there.", "Stop the job"))) return;
    trouble.hidden = true;
    await ask(path, { method: "DELETE" }).catch((error) => wrong(error));
  }
  async function retry() {
    try {
      const next = await send("POST", `${path}/retry`);
      go(`/?view=jobs&id=${encodeURIComponent(next.job_id)}`);
    } catch (error) { wrong(error); }
  }
  function wrong(error) {
    trouble.hidden = false;
    trouble.textContent = error.message;
  }

  function lost(error) {
    if (!(error instanceof Failure)) throw error;
    head.replaceChildren(error.status === 404
      ? note("There is no such job (any more).")
      : note(error.message, button("Try again", () => go(location.pathname + location.search))));
  }

  ask(path).then((first) => {
    if (left) return;
    job = first;
    draw();
    const close = follow(path, "job", (data) => {
      const before = job.status;
      job = JSON.parse(data);
      draw();
      if (final(job)) {
        close();
        if (before !== job.status) say(`The job has ended: ${job.status.toLowerCase()}.`);
      }
    }, (is, error) => {
      if (error) return lost(error);
      if (there !== is) { there = is; draw(); }
    });
    // The stream of a job that has ended comes to its end; a browser would open it again and again.
    const closeLog = follow(`${path}/logs`, "log", (line) => append(log, line), (is) => { if (!is && final(job)) closeLog(); });
    ends = [close, closeLog];
  }, lost);
  return () => {
    left = true;
    ends.forEach((end) => end());
  };
}

function append(log, line) {
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 24;
  log.append(`${line}\n`);
  while (log.childNodes.length > LINES) log.firstChild.remove();
  if (follows) log.scrollTop = log.scrollHeight;
}

/** What one may do with it. */
function offer(job) {
  const over = final(job);
  // A job that an error of the whole dependency ended has images left, and may have listed only a part of the bucket.
  const unfinished = job.status === "FAILED";
  return [!over && "stop", over && unfinished && "go_on", over && !unfinished && job.counts.failed && "retry", over && job.counts.done && "search"].filter(Boolean);
}

function summary(job, there) {
  const { counts } = job;
  const total = counts.listed - counts.skipped - counts.unchanged;
  const dealt = counts.done + counts.failed;
  const over = final(job);
  const facts = [
    ["Listed", counts.listed], ["Unchanged", counts.unchanged], ["Skipped", counts.skipped], ["Indexed", counts.done],
    ["Failed", counts.failed], ["Removed", counts.deleted], ["Left", counts.left],
  ];
  const bar = el("progress", { max: Math.max(total, 1), value: over ? Math.max(total, 1) : dealt, "aria-label": "Progress" });
  const words = [
    job.images_per_second !== null && dealt ? `${job.images_per_second.toFixed(1)} images/s` : null,
    !over && job.images_per_second_overall && dealt ? `${job.images_per_second_overall.toFixed(1)} on the whole` : null,
    !over && job.eta_seconds !== null ? `${clock(job.eta_seconds)} to go` : null,
    job.bottleneck,
  ].filter(Boolean).join(" · ");
  return [
    el("h1", {}, `${job.s3_bucket}/${job.s3_prefix} → ${job.collection} `, el("span", { class: `state ${job.status.toLowerCase()}` }, job.status.toLowerCase())),
    there || over ? null : el("p", { class: "warning" }, "The service does not answer just now; the page comes back to it by itself."),
    bar, words ? el("p", { class: "quiet" }, words) : null,
    job.message ? el("p", { class: job.status === "FAILED" ? "wrong" : "quiet" }, job.message) : null,
    job.waiting_on ? el("p", { class: "warning" }, `Waits for ${job.waiting_on.dependency} since ${time(job.waiting_on.since)}: ${job.waiting_on.message}.${job.waiting_on.next_try ? ` Next try ${time(job.waiting_on.next_try)}.` : ""}`) : null,
    el("dl", { class: "counts" }, facts.map(([name, count]) => el("div", {}, el("dt", {}, name), el("dd", {}, number(count))))),
    counts.skipped ? el("p", { class: "quiet" }, "Skipped are folders, thumbnails, and names that do not end as those of a JPEG, PNG, WebP or GIF.") : null,
    job.plan ? plan(job.plan) : null,
  ].filter(Boolean);
}

function plan(found) {
  const kind = (name) => el("div", {}, el("h3", {}, `${number(found[name])} ${name}`), el("ul", {}, found.examples[name].map((key) => el("li", {}, key))));
  return el("section", { class: "plan" }, el("h2", {}, "What the job would do"), kind("new"), kind("changed"), kind("deleted"));
}

/** Failures by class, with examples. */
async function group(path) {
  const { failures, total } = await ask(`${path}/failures?limit=1000`);
  if (!total) return [];
  const classes = new Map();
  for (const failure of failures) classes.set(failure.class, [...(classes.get(failure.class) ?? []), failure]);
  const first = failures.length < total ? ` (of the first ${number(failures.length)})` : "";
  return [el("h2", {}, `${number(total)} failed`), ...[...classes].sort((a, b) => b[1].length - a[1].length).map(([name, some]) =>
    el("details", { "data-class": name }, el("summary", {}, `${name.replaceAll("_", " ")}: ${number(some.length)}${first}`),
      el("ul", {}, some.slice(0, 20).map((failure) => el("li", {}, el("b", {}, failure.s3_key), ` ${failure.message}`)),
        some.length > 20 ? el("li", {}, `and ${number(some.length - 20)} more`) : null)))];
}

const time = (text) => new Date(text).toLocaleTimeString();

function clock(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
