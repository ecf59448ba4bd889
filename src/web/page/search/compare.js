// Compares the results of two stores, or of two generations of a collection.

/**
 * @typedef {object} Mark A short label on a result, with an explanation.
 * @property {"new" | "same" | "up" | "down" | "copies"} kind
 * @property {string} label
 * @property {string} [explanation]
 */

/** @param {ResultReply[]} results */
function ranksById(results) {
  return new Map(results.map((result, rank) => [result.id, rank]));
}

/**
 * For each result: how its rank differs from its rank in the other store.
 * @param {ResultReply[]} results
 * @param {ResultReply[]} others
 * @param {string} otherStore
 * @param {boolean} othersMayContinue Whether the other store may have more results than `others`.
 * @returns {Mark[]}
 */
export function rankMarks(results, others, otherStore, othersMayContinue) {
  const otherRanks = ranksById(others);
  return results.map((result, rank) => {
    const otherRank = otherRanks.get(result.id);
    if (otherRank === undefined) {
      return othersMayContinue
        ? mark("new", `not in top ${others.length}`, `not among the first ${others.length} results of ${otherStore}`)
        : mark("new", "only here", `not found in ${otherStore}`);
    }
    const difference = otherRank - rank;
    if (difference === 0) return mark("same", "=", `same rank in ${otherStore}`);
    const distance = `${Math.abs(difference)} ${Math.abs(difference) === 1 ? "rank" : "ranks"}`;
    return difference > 0
      ? mark("up", `▲${difference}`, `${distance} higher than in ${otherStore}`)
      : mark("down", `▼${-difference}`, `${distance} lower than in ${otherStore}`);
  });
}

/**
 * @param {Mark["kind"]} kind
 * @param {string} label
 * @param {string} explanation
 * @returns {Mark}
 */
function mark(kind, label, explanation) {
  return { kind, label, explanation };
}

/**
 * A sentence about what two lists of results have in common.
 * @param {ResultReply[]} results
 * @param {ResultReply[]} others
 */
export function describeOverlap(results, others) {
  const otherRanks = ranksById(others);
  const shared = results.filter((result) => otherRanks.has(result.id)).length;
  const sameRank = results.filter((result, rank) => otherRanks.get(result.id) === rank).length;
  return `Both have ${shared} of ${Math.max(results.length, others.length)} images, ${sameRank} of them at the same rank.`;
}
