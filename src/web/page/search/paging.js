// Loads more images when the end of a grid comes near.

import { ApiError } from "../api.js";
import { button, el, notice } from "../dom.js";

/**
 * @param {object} options
 * @param {() => Promise<{ loaded: number, hasMore: boolean }>} options.loadPage Fetches and appends the next page.
 * @param {boolean} options.hasMore Whether there is a next page.
 * @param {() => boolean} [options.isPaused] Whether no page must be loaded now.
 * @param {() => string | null} options.endText The text below the last page.
 * @param {AbortSignal} options.signal Ends the loading.
 */
export function createPaging({ loadPage, hasMore: hasNext, isPaused = () => false, endText, signal }) {
  const end = el("div", { class: "end" });
  let hasMore = hasNext;
  /** @type {Promise<boolean> | null} */
  let loading = null;
  const observer = new IntersectionObserver(
    (entries) => {
      if (entries.at(-1)?.isIntersecting) loadMore();
    },
    { rootMargin: "800px" },
  );
  observer.observe(end);
  signal.addEventListener("abort", () => observer.disconnect());

  /** Loads the next page, or waits for the page that is being loaded; resolves to whether there was one. */
  async function loadMore() {
    if (!hasMore || isPaused()) return false;
    loading ??= load();
    return loading;
  }

  async function load() {
    try {
      const page = await loadPage();
      hasMore = page.hasMore;
      return page.loaded > 0;
    } catch (error) {
      hasMore = false;
      if (error instanceof ApiError) end.replaceChildren(notice(error.message, button("Load more", resume)));
      else if (!signal.aborted) throw error;
      return false;
    } finally {
      loading = null;
      // An observer reports changes only: if the end is still in view after the new rows, it must be observed again.
      observer.unobserve(end);
      if (hasMore && !signal.aborted) observer.observe(end);
      const text = hasMore || end.firstChild ? null : endText();
      if (text) end.append(el("p", { class: "muted" }, text));
    }
  }

  function resume() {
    hasMore = true;
    end.replaceChildren();
    loadMore();
  }

  return { end, loadMore };
}
