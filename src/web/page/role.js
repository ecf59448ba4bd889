// What the user may do. Controls that the role may not use are absent; the service refuses their requests in any case.

/** @typedef {"read" | "write" | "admin"} Role */

/** @type {Role[]} */
const ROLES = ["read", "write", "admin"];

/** @type {Role} */
let current = "admin";

/**
 * Sets the role of the user. A service of an earlier version has no roles: there, every user may do everything.
 * @param {Role | null | undefined} role
 */
export function setRole(role) {
  current = role ?? "admin";
}

/**
 * Whether the role of the user includes this one.
 * @param {Role} role
 */
export function may(role) {
  return ROLES.indexOf(current) >= ROLES.indexOf(role);
}
