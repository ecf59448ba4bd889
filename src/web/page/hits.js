// Asks the search for hits, page by page.

import { Failure, ask } from "./api.js";
import * as queries from "./query.js";

export const PAGE = 50;

/** One page of hits of one store. */
export async function page(query, provider, offset, signal) {
  const given = queries.parameters(query, { provider, limit: Math.min(PAGE, Number(query.limit) || PAGE), offset });
  if (!query.pic) return ask(`/search/images?${given}`, { signal });
  const file = queries.kept(query.pic);
  if (!file) throw new Failure("forgotten", "The picture that was searched by is forgotten when the page is loaded anew. Drop or choose it again.");
  const body = new FormData();
  body.append("file", file, file.name || "pasted");
  return ask(`/search/images?${given}`, { method: "POST", body, signal });
}
