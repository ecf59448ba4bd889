// Numbers, sizes and times as text.

const BYTE_UNITS = ["bytes", "kB", "MB", "GB"];

/**
 * 1234567 → "1.2 MB".
 * @param {number} count
 */
export function formatBytes(count) {
  const unit = Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  return `${unit ? (count / 1000 ** unit).toFixed(1) : count} ${BYTE_UNITS[unit]}`;
}

/**
 * 1234567 → "1,234,567".
 * @param {number} value
 */
export function formatNumber(value) {
  return value.toLocaleString("en");
}

/**
 * (1, "image") → "1 image"; (2, "image") → "2 images".
 * @param {number} count
 * @param {string} noun
 */
export function formatCount(count, noun) {
  return `${formatNumber(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * 3725 → "1 h 2 min".
 * @param {number} seconds
 */
export function formatDuration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/**
 * The local time of an RFC 3339 timestamp.
 * @param {string} timestamp
 */
export function formatTime(timestamp) {
  return new Date(timestamp).toLocaleTimeString();
}

/**
 * The local date and time of an RFC 3339 timestamp.
 * @param {string} timestamp
 */
export function formatDateTime(timestamp) {
  return new Date(timestamp).toLocaleString();
}

/**
 * The time of a clock, as it showed it: "2024-07-01T00:30:00+02:00" → "2024-07-01 00:30:00 +02:00". A `Z` is an unknown offset.
 * @param {string} timestamp
 */
export function formatClock(timestamp) {
  return timestamp
    .replace("T", " ")
    .replace(/(?:\.\d+)?(Z|[+-]\d\d:\d\d)$/, (_, offset) => (offset === "Z" ? "" : ` ${offset}`));
}
