// Two stores side by side: where one has what the other has.

/** Words for how the places of hits in one reply differ from those in another; `full` where the other may have more. */
export function marks(hits, other, store, full) {
  const places = new Map(other.map((hit, place) => [hit.id, place]));
  return hits.map((hit, here) => {
    const there = places.get(hit.id);
    if (there === undefined) return full ? mark("new", `not in ${other.length}`, `not among the first ${other.length} of ${store}`) : mark("new", "only here", `${store} does not have it`);
    const moved = there - here;
    if (!moved) return mark("same", "=", `at the same place in ${store}`);
    const far = `${Math.abs(moved)} ${Math.abs(moved) === 1 ? "place" : "places"}`;
    return moved > 0 ? mark("up", `▲${moved}`, `${far} higher than in ${store}`) : mark("down", `▼${-moved}`, `${far} lower than in ${store}`);
  });
}

const mark = (kind, short, words) => ({ kind, short, words });

/** In a sentence: how much two replies have in common. */
export function common([one, other]) {
  const places = new Map(other.map((hit, place) => [hit.id, place]));
  const both = one.filter((hit) => places.has(hit.id)).length;
  const same = one.filter((hit, place) => places.get(hit.id) === place).length;
  return `${both} of ${Math.max(one.length, other.length)} pictures are in both, ${same} of them at the same place.`;
}
