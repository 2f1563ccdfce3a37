// Prints the service's model as the JavaScript SDK has it: every operation with method, path and
// the members of its input. A member is {name, where, type, members?, of?}.
import * as model from "@aws-sdk/client-lambda";

const LIST = 64, MAP = 128;
const SIMPLE = { 0: "string", 1: "number", 2: "boolean", 4: "time", 15: "any", 21: "blob", 42: "blob" };

function resolve(schema) {
    while (typeof schema === "function") schema = schema();
    if (Array.isArray(schema) && typeof schema[0] !== "number") return resolve(schema[0]);
    if (Array.isArray(schema) && schema.length === 2 && !Array.isArray(schema[1]) && typeof schema[1] !== "string")
        return resolve(schema[0]); // [schema, traits]
    return schema;
}

function traits(schema) {
    return Array.isArray(schema) && schema.length === 2 && typeof schema[1] === "object" ? schema[1] : {};
}

function describe(schema, seen) {
    schema = resolve(schema);
    if (typeof schema === "number") {
        if (schema >= MAP) return { type: "map", of: describe(schema - MAP, seen) };
        if (schema >= LIST) return { type: "list", of: describe(schema - LIST, seen) };
        return { type: SIMPLE[schema] ?? "string" };
    }
    const [kind, , name] = schema;
    if (kind === 0) return describe(schema[4], seen); // a simple type with traits
    if (kind === 1) return { type: "list", of: describe(schema[4], seen) };
    if (kind === 2) return { type: "map", of: describe(schema[5], seen) };
    if (seen.includes(name)) return { type: "struct", members: [] };
    return { type: "struct", members: members(schema, [...seen, name]) };
}

function members(struct, seen = []) {
    return struct[4].map((name, i) => {
        const t = traits(struct[5][i]);
        const where = t.httpQuery ? "query" : t.httpHeader ? "header" : t.httpPayload ? "payload" : "body";
        return { name, where, query: t.httpQuery, ...describe(struct[5][i], seen) };
    });
}

const operations = Object.values(model)
    .filter((s) => Array.isArray(s) && s[0] === 9)
    .map(([, , name, t, input]) => {
        const [method, path, status] = t.http;
        const list = members(resolve(input)).map((m) =>
            path.includes(`{${m.name}}`) || path.includes(`{${m.name}+}`) ? { ...m, where: "path" } : m);
        return { name, method, path, status, members: list };
    });
console.log(JSON.stringify(operations));
