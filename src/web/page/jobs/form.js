// The form that starts a job.

import { ApiError, fetchJson, sendJson } from "../api.js";
import { announce, button, el, field } from "../dom.js";

/** @param {import("../main.js").Navigate} navigate */
export function createJobForm(navigate) {
  const bucket = el("input", { name: "bucket", spellcheck: false });
  const prefix = el("input", { name: "prefix", spellcheck: false, placeholder: "images/" });
  const collection = el("input", { name: "collection", spellcheck: false });
  const sync = el("input", { type: "checkbox", name: "sync" });
  const dryRun = el("input", { type: "checkbox", name: "dry_run" });
  const errorText = el("p", { class: "error", role: "alert" });
  const start = button("Start job", undefined, { type: "submit", class: "primary" });

  async function submit() {
    start.disabled = true;
    errorText.textContent = "";
    try {
      /** @type {SubmitReply} */
      const job = await sendJson("POST", "/jobs/images", {
        s3_bucket: bucket.value.trim() || null,
        s3_prefix: prefix.value.trim(),
        collection: collection.value.trim() || null,
        sync: sync.checked,
        dry_run: dryRun.checked,
      });
      announce("The job was started.");
      await navigate(`./?view=jobs&id=${encodeURIComponent(job.job_id)}`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      errorText.textContent = error.message;
    } finally {
      start.disabled = false;
    }
  }

  async function showDefaults() {
    /** @type {StatusReply | null} */
    const status = await fetchJson("/status").catch(() => null);
    if (!status) return;
    bucket.placeholder = status.bucket;
    collection.placeholder = status.collection;
  }

  showDefaults();
  return el(
    "form",
    {
      class: "job-form",
      "aria-label": "Start a job",
      onsubmit: (event) => {
        event.preventDefault();
        submit();
      },
    },
    el("h1", {}, "Index a bucket"),
    el("div", { class: "fields" }, field("Bucket", bucket), field("Prefix", prefix), field("Collection", collection)),
    el(
      "div",
      { class: "row" },
      checkbox("Sync: remove images that are no longer in the bucket", sync),
      checkbox("Dry run: show what would change, and change nothing", dryRun),
      start,
    ),
    errorText,
  );
}

/**
 * @param {string} label
 * @param {HTMLInputElement} input
 */
function checkbox(label, input) {
  return el("label", { class: "check" }, input, el("span", {}, label));
}
