// The parts of a search: texts and images to be similar to, and texts and images not to be similar to.

/** @typedef {"q" | "file" | "like" | "not_like" | "not"} TermField */

/**
 * @typedef {{ field: TermField, value: string }} Term A text, the id of an image, or the id of a file. Behind an id, the part
 * of the image that is searched for can follow: `ID~x,y,width,height`.
 */

/** @typedef {import("./query.js").Query} Query */
/** @typedef {Partial<Pick<Query, TermField>>} Terms */

/**
 * The terms in the order of the API: what to be similar to comes first.
 * @param {Terms} query
 * @returns {Term[]}
 */
export function queryTerms(query) {
  const fields = /** @type {const} */ (["q", "file", "like", "not_like", "not"]);
  return fields.flatMap((field) =>
    [query[field] ?? []]
      .flat()
      .filter(Boolean)
      .map((value) => ({ field, value })),
  );
}

/**
 * The id of an image or a file, and the part of it that is searched for.
 * @param {string} value
 * @returns {{ id: string, region: string | undefined }}
 */
export function parseImage(value) {
  const [id, region] = value.split("~");
  return { id, region };
}

/**
 * The query with a part of one image in place of the image.
 * @param {Query} query
 * @param {Term} term
 * @param {string} region
 * @returns {Query}
 */
export function withRegion(query, { field, value }, region) {
  const image = `${parseImage(value).id}~${region}`;
  if (field === "file") return { ...query, file: image };
  const images = /** @type {"like" | "not_like"} */ (field);
  return { ...query, [images]: query[images]?.map((other) => (other === value ? image : other)) };
}

/**
 * Splits a typed text: `a dog -snow -"a red car"` is the text `a dog`, and excludes `snow` and `a red car`. Phones write a dash in
 * place of two hyphens.
 * @param {string} typed
 * @returns {{ q: string, not: string[] }}
 */
export function splitExcluded(typed) {
  const excluded = /(?:^|\s)(?:--?|[–—])(?:"([^"]+)"|([^\s"–—-]\S*))(?=\s|$)/g;
  const not = [...typed.matchAll(excluded)].map(([, quoted, word]) => (quoted ?? word).trim());
  return { q: typed.replace(excluded, "").trim(), not };
}

/** @param {Term} term */
export function isNegative({ field }) {
  return field === "not_like" || field === "not";
}

/**
 * Whether the query has something to search for, not only something to exclude.
 * @param {Terms} query
 */
export function hasSearchTerm(query) {
  return queryTerms(query).some((term) => !isNegative(term));
}

/**
 * The query with one more image. An image cannot be both wanted and not wanted: the last choice counts.
 * @param {Query} query
 * @param {"like" | "not_like"} field
 * @param {string} id
 * @returns {Query}
 */
export function withImage(query, field, id) {
  const without = withoutTerm(withoutTerm(query, { field: "like", value: id }), { field: "not_like", value: id });
  return { ...without, [field]: [...(without[field] ?? []), id] };
}

/**
 * @param {Query} query
 * @param {Term} term
 * @returns {Query}
 */
export function withoutTerm(query, { field, value }) {
  if (field === "q" || field === "file") return { ...query, [field]: "" };
  return { ...query, [field]: (query[field] ?? []).filter((other) => other !== value) };
}
