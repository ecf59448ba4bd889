// What is asked for, as the address bar holds it: a link, or the back button, brings it back.

/** Filters that are one value each, as the API names them. */
export const FILTERS = ["s3_prefix", "format", "min_width", "min_height", "indexed_after"];
const WORDS = ["q", "like", "collection", "provider", "compare", "limit", "min_score", "pic", ...FILTERS];

/** The query of an address. */
export function read(search = location.search) {
  const given = new URLSearchParams(search);
  const query = { meta: [] };
  for (const word of WORDS) if (given.get(word)) query[word] = given.get(word);
  for (const [name, value] of given) if (name.startsWith("meta.") && value) query.meta.push([name.slice(5), value]);
  return query;
}

/** The address of a query. */
export function address(query) {
  const given = new URLSearchParams();
  for (const word of WORDS) if (query[word]) given.set(word, query[word]);
  for (const [name, value] of query.meta ?? []) given.append(`meta.${name}`, value);
  const words = given.toString();
  return words ? `/?${words}` : "/";
}

/** Whether anything is asked for. */
export const asks = (query) => Boolean(query.q || query.like || query.pic);

/** The parameters of a request to the search. */
export function parameters(query, { provider, limit, offset }) {
  const given = new URLSearchParams();
  for (const word of ["q", "like", "collection", "min_score", ...FILTERS]) if (query[word]) given.set(word, query[word]);
  for (const [name, value] of query.meta ?? []) given.append(`meta.${name}`, value);
  if (provider) given.set("provider", provider);
  given.set("limit", limit);
  if (offset) given.set("offset", offset);
  return given;
}

/** Pictures that were searched by. They have no address of their own: a reload forgets them. */
const pictures = new Map();

export function keep(file) {
  const name = String(Date.now());
  pictures.set(name, file);
  return name;
}

export const kept = (name) => pictures.get(name);
