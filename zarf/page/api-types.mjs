// Writes the schemas of the OpenAPI document as TypeScript declarations, so that `tsc` checks the page against the API that
// the service has. The document is read from its reviewed snapshot: no build of the service is needed.
// Usage: node api-types.mjs SNAPSHOT > api.d.ts

import { readFileSync } from "node:fs";

/**
 * @typedef {object} Schema The part of JSON Schema that the document uses.
 * @property {string} [$ref]
 * @property {string | string[]} [type]
 * @property {string[]} [enum]
 * @property {Schema[]} [oneOf]
 * @property {Schema[]} [allOf]
 * @property {Schema} [items]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 * @property {Schema | boolean} [additionalProperties]
 */

/** @type {Record<string, string>} */
const PRIMITIVES = { string: "string", integer: "number", number: "number", boolean: "boolean", null: "null" };

/** @param {Schema} schema @returns {string} */
function typeOf(schema) {
  if (schema.$ref) return schema.$ref.slice("#/components/schemas/".length);
  if (schema.oneOf) return schema.oneOf.map(typeOf).join(" | ");
  if (schema.allOf) return schema.allOf.map(typeOf).join(" & ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const types = [schema.type ?? []].flat().map((type) => {
    if (type === "array") return `Array<${typeOf(schema.items ?? {})}>`;
    if (type === "object") return objectType(schema);
    return PRIMITIVES[type] ?? "unknown";
  });
  return types.join(" | ") || "unknown";
}

/** @param {Schema} schema @returns {string} */
function objectType({ properties, required = [], additionalProperties }) {
  if (!properties) {
    return `Record<string, ${typeof additionalProperties === "object" ? typeOf(additionalProperties) : "unknown"}>`;
  }
  const fields = Object.entries(properties).map(
    ([name, schema]) => `${JSON.stringify(name)}${required.includes(name) ? "" : "?"}: ${typeOf(schema)}`,
  );
  return `{ ${fields.join("; ")} }`;
}

const snapshot = readFileSync(process.argv[2], "utf8");
// The snapshot has a header between two lines of dashes.
const { components } = JSON.parse(snapshot.slice(snapshot.indexOf("{")));
for (const [name, schema] of Object.entries(components.schemas)) {
  console.log(`type ${name} = ${typeOf(schema)};`);
}
