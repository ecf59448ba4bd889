// Jobs: start one, see them all, watch one.

import { Failure, ask, send } from "./api.js";
import { button, el, field, note, number, say, stale } from "./dom.js";
import { watch } from "./job.js";

let root, go, timer, leave;

export function show(main, goTo) {
  [root, go] = [main, goTo];
  leave = () => {};
  changed();
  return end;
}

function end() {
  clearInterval(timer);
  leave();
}

/** The address says whether it is all of them or one. */
export function changed() {
  end();
  root.replaceChildren();
  const id = new URLSearchParams(location.search).get("id");
  document.title = id ? "Job · Glimpse" : "Jobs · Glimpse";
  leave = id ? watch(root, id, go) : all();
}

function all() {
  const list = el("div", { class: "job-list" });
  root.append(form(), el("h1", {}, "Jobs"), list);
  const draw = async () => {
    try {
      const { jobs } = await ask("/jobs?limit=50");
      if (!list.isConnected) return;
      list.replaceChildren(...(jobs.length ? [table(jobs)] : [note("No job has run yet. Start one above: it lists a bucket and indexes its pictures.")]));
    } catch (error) {
      if (error instanceof Failure) stale(list, error.message);
    }
  };
  draw();
  timer = setInterval(() => { if (!document.hidden) draw(); }, 2000);
  return () => {};
}

function table(jobs) {
  const row = (job) => el("tr", {},
    el("td", {}, el("a", { href: `/?view=jobs&id=${encodeURIComponent(job.job_id)}` }, `${job.s3_bucket}/${job.s3_prefix}`)),
    el("td", {}, job.collection), el("td", {}, el("span", { class: `state ${job.status.toLowerCase()}` }, job.status.toLowerCase())),
    el("td", { class: "right" }, number(job.counts.done)), el("td", { class: "right" }, number(job.counts.failed)),
    el("td", {}, new Date(job.submitted_at).toLocaleString()));
  return el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Jobs" }, el("table", {},
    el("thead", {}, el("tr", {}, ["Bucket and prefix", "Collection", "State", "Indexed", "Failed", "Submitted"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, jobs.map(row))));
}

function form() {
  const bucket = el("input", { name: "bucket", spellcheck: false });
  const prefix = el("input", { name: "prefix", spellcheck: false, placeholder: "images/" });
  const collection = el("input", { name: "collection", spellcheck: false });
  ask("/status").then((status) => { bucket.placeholder = status.bucket; collection.placeholder = status.collection; }, () => {});
  const sync = el("input", { type: "checkbox", name: "sync" });
  const dry = el("input", { type: "checkbox", name: "dry_run" });
  const wrong = el("p", { class: "wrong", role: "alert" });
  const start = button("Start", undefined, { type: "submit", class: "main" });
  const check = (input, words) => el("label", { class: "check" }, input, el("span", {}, words));
  return el("form", { class: "start", "aria-label": "Start a job", onsubmit: async (event) => {
    event.preventDefault();
    start.disabled = true;
    wrong.textContent = "";
    const body = { s3_prefix: prefix.value.trim(), sync: sync.checked, dry_run: dry.checked };
    if (bucket.value.trim()) body.s3_bucket = bucket.value.trim();
    if (collection.value.trim()) body.collection = collection.value.trim();
    try {
      const job = await send("POST", "/jobs/images", body);
      say("The job has begun.");
      await go(`/?view=jobs&id=${encodeURIComponent(job.job_id)}`);
    } catch (error) {
      wrong.textContent = error.message;
    } finally {
      start.disabled = false;
    }
  } },
  el("h1", {}, "Index a bucket"),
  el("div", { class: "fields" }, field("Bucket", bucket), field("Prefix", prefix), field("Collection", collection)),
  el("div", { class: "row" }, check(sync, "Sync: remove what is gone from the bucket"), check(dry, "Dry run: only say what would be done"), start), wrong);
}
