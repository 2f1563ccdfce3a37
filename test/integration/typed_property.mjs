/* typed_property.mjs SEED COUNT PROGRAM - random values against a second writer and reader of the lanes'
 * typed text. Each value goes from here to the program and back: its text must be the same byte by byte, and
 * what is read from it the same value. Prints the seed with what failed. */
import { spawn } from "node:child_process";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { createInterface } from "node:readline";

const seed = Number(process.argv[2]);
const count = Number(process.argv[3]);
const program = process.argv[4];

// Chance: the same seed gives the same values ------------------------------------------------------

let state = BigInt(seed);
function next() { /* splitmix64 */
  state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
  let z = state;
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}
const below = (n) => Number(next() % BigInt(n));
const one = (list) => list[below(list.length)];
const many = (most, make) => Array.from({ length: below(most + 1) }, make);

// The second implementation -----------------------------------------------------------------------

const ESCAPE = "$runner.escape::";
const BYTES = { ArrayBuffer, DataView, Buffer, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array,
  Int32Array, Uint32Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array };
const WELL_KNOWN = ["asyncIterator", "hasInstance", "iterator", "match", "replace", "search", "species", "split",
  "toPrimitive", "toStringTag", "unscopables"];

const record = (type, value) => ({ __type: type, value });
const outKey = (key) =>
  key === "__type" || key === "__graph" || key.startsWith(ESCAPE) ? ESCAPE + key : key;
const inKey = (key) => key.startsWith(ESCAPE) ? key.slice(ESCAPE.length) : key;

function bytesOf(value) {
  const buffer = value instanceof ArrayBuffer ? value : value.buffer;
  return Array.from(new Uint8Array(buffer, value.byteOffset ?? 0, value.byteLength));
}

function put(object, key, value) { /* "__proto__" too is a key like any other */
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

export function toTree(value) {
  switch (typeof value) {
    case "undefined":
      return record("Undefined", null);
    case "number":
      return Number.isFinite(value) ? value : record("NonFiniteNumber", String(value));
    case "bigint":
      return record("BigInt", String(value));
    case "symbol": {
      const key = Symbol.keyFor(value);
      return record("Symbol", key !== undefined ? { kind: "For", key }
        : { kind: "WellKnown", key: WELL_KNOWN.find((name) => Symbol[name] === value) });
    }
    case "object":
      break;
    default:
      return value;
  }
  if (value === null)
    return null;
  if (value instanceof Date)
    return record("Date", value.toISOString());
  if (value instanceof RegExp)
    return record("RegExp", { pattern: value.source, flags: value.flags });
  if (value instanceof Map)
    return record("Map", [...value].map(([k, v]) => [toTree(k), toTree(v)]));
  if (value instanceof Set)
    return record("Set", [...value].map(toTree));
  if (value instanceof URL)
    return record("URL", value.href);
  if (value instanceof URLSearchParams)
    return record("URLSearchParams", value.toString());
  if (value instanceof Error) {
    const told = { name: value.name, message: value.message, customFields: toTree({ ...value }) };
    told.stack = value.stack;
    if ("cause" in value)
      told.cause = toTree(value.cause);
    return record("Error", told);
  }
  for (const [name, type] of Object.entries(BYTES)) {
    if (name === "Buffer" ? Buffer.isBuffer(value) : value.constructor === type)
      return record(name, bytesOf(value));
  }
  if (Array.isArray(value))
    return Array.from(value, toTree);
  const tree = {};
  for (const [key, member] of Object.entries(value))
    put(tree, outKey(key), toTree(member));
  return tree;
}

export const write = (value) => JSON.stringify(toTree(value));

const READERS = {
  Undefined: () => undefined,
  NonFiniteNumber: Number,
  BigInt,
  Date: (v) => new Date(v),
  RegExp: (v) => new RegExp(v.pattern, v.flags),
  Map: (v) => new Map(v.map(([k, m]) => [fromTree(k), fromTree(m)])),
  Set: (v) => new Set(v.map(fromTree)),
  Symbol: (v) => v.kind === "For" ? Symbol.for(v.key) : Symbol[v.key],
  URL: (v) => new URL(v),
  URLSearchParams: (v) => new URLSearchParams(v),
  Error: (v) => {
    const error = new Error(v.message, "cause" in v ? { cause: fromTree(v.cause) } : undefined);
    Object.defineProperty(error, "name", { value: v.name, configurable: true });
    Object.defineProperty(error, "stack", { value: v.stack, configurable: true });
    return Object.assign(error, fromTree(v.customFields));
  },
};
for (const [name, type] of Object.entries(BYTES)) {
  READERS[name] = (v) => {
    const buffer = Uint8Array.from(v).buffer;
    return name === "ArrayBuffer" ? buffer : name === "Buffer" ? Buffer.from(v) : new type(buffer);
  };
}

export function fromTree(tree) {
  if (typeof tree !== "object" || tree === null)
    return tree;
  if (Array.isArray(tree))
    return tree.map(fromTree);
  if (typeof tree.__type === "string" && "value" in tree)
    return READERS[tree.__type](tree.value);
  const value = {};
  for (const [key, member] of Object.entries(tree))
    put(value, inKey(key), fromTree(member));
  return value;
}

/** What a function sees that knows nothing of records. */
export function toPlain(value) {
  const base64 = (v) => Buffer.from(bytesOf(v)).toString("base64");
  switch (typeof value) {
    case "undefined":
      return null;
    case "number":
      return Number.isFinite(value) ? value : null;
    case "bigint":
      return String(value);
    case "symbol":
      return Symbol.keyFor(value) ?? WELL_KNOWN.find((name) => Symbol[name] === value);
    case "object":
      break;
    default:
      return value;
  }
  if (value === null)
    return null;
  if (value instanceof Date)
    return value.toISOString();
  if (value instanceof RegExp)
    return `/${value.source}/${value.flags}`;
  if (value instanceof Map)
    return [...value].map(([k, v]) => [toPlain(k), toPlain(v)]);
  if (value instanceof Set)
    return [...value].map(toPlain);
  if (value instanceof URL || value instanceof URLSearchParams)
    return String(value);
  if (value instanceof Error)
    return { name: value.name, message: value.message };
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value))
    return base64(value);
  if (Array.isArray(value))
    return value.map(toPlain);
  const plain = {};
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined)
      put(plain, key, toPlain(member));
  }
  return plain;
}

/** The graph form: each container a node, named where it stands. */
function toGraph(value) {
  const ids = new Map();
  const nodes = {};
  const refer = (v) => {
    if (typeof v !== "object" || v === null)
      return toTree(v);
    if (!ids.has(v)) {
      const id = `obj_${ids.size + 1}`;
      ids.set(v, id);
      nodes[id] = null; /* its place; what is in it may come back here */
      if (v instanceof Map)
        nodes[id] = { kind: "type", type: "Map", value: [...v].map(([k, m]) => [refer(k), refer(m)]) };
      else if (v instanceof Set)
        nodes[id] = { kind: "type", type: "Set", value: [...v].map(refer) };
      else if (Array.isArray(v))
        nodes[id] = { kind: "array", value: Array.from(v, refer) };
      else if (Object.getPrototypeOf(v) === Object.prototype)
        nodes[id] = { kind: "object", value: Object.fromEntries(Object.entries(v).map(([k, m]) => [k, refer(m)])) };
      else {
        const { __type, value: payload } = toTree(v);
        nodes[id] = { kind: "type", type: __type, value: payload };
      }
    }
    return { __ref: ids.get(v) };
  };
  return JSON.stringify({ __graph: true, version: 1, root: refer(value), nodes });
}

// Values -------------------------------------------------------------------------------------------

const CHARACTERS = ["a", "Z", "0", " ", '"', "\\", "/", "\n", "\t", "\b", "\u0000", "\u001f", "\u007f", "é", "\u2028",
  "\u2029", "€", "\ud83d\ude00", "\ud800", "\udfff", "\ufeff"];
const KEYS = ["a", "b", "value", "01", "-1", "1.5", "4294967295", "__ref", "constructorx", "toString", ""];
const ESCAPED = ["__type", "__graph", ESCAPE, `${ESCAPE}x`, `${ESCAPE}${ESCAPE}__type`];
const PATTERNS = ["", "a+b", "^\\d{2,3}$", "[a-z]+", "(?:x|y)z", "a/b", "(a)(b)?", "\\u0041", "(?<n>x)", "é.", "a|b|c"];

const text = () => many(6, () => one(CHARACTERS)).join("");
const key = (graph) => {
  const kind = below(graph ? 3 : 4);
  return kind === 0 ? String(below(one([10, 5000000000]))) : kind === 1 ? one(KEYS) : kind === 2 ? `k${text()}` : one(ESCAPED);
};

let signedZeros = true;

function number() {
  switch (below(7)) {
    case 0:
      return below(100) - 50;
    case 1:
      return one([0, signedZeros ? -0 : 0, 1e21, 1e-7, 1e-6, 123456789012345680000, 5e-324, 1.7976931348623157e308, 0.1, 2 ** 53]);
    case 2:
      return one([NaN, Infinity, -Infinity]);
    case 3:
      return below(1000000) / 1000;
    default: { /* any double at all */
      const view = new DataView(new ArrayBuffer(8));
      view.setBigUint64(0, next());
      return view.getFloat64(0);
    }
  }
}

function date() {
  return new Date(one([0, -1, 1700000000000, -62167219200001, 253402300800000, 8.64e15, -8.64e15,
    below(4e12) - 2e12]));
}

function error(depth, graph) {
  const it = new Error(text(), below(2) ? { cause: value(depth + 1, graph) } : undefined);
  Object.defineProperty(it, "name", { value: one(["Error", "TypeError", "Mine"]), configurable: true });
  Object.defineProperty(it, "stack", { value: `Error: x\n    at ${text()}`, configurable: true });
  return Object.assign(it, Object.fromEntries(many(2, () => [`f${below(9)}`, value(depth + 1, graph)])));
}

function bytes() {
  const type = one(Object.values(BYTES));
  const size = type.BYTES_PER_ELEMENT ?? 1;
  const raw = Uint8Array.from({ length: size * below(4) }, () => below(256));
  return type === Buffer ? Buffer.from(raw) : type === ArrayBuffer ? raw.buffer : new type(raw.buffer);
}

function value(depth = 0, graph = false) {
  const kind = below(depth > 4 ? 7 : 16);
  switch (kind) {
    case 0:
      return one([null, true, false, undefined]);
    case 1:
    case 2:
      return number();
    case 3:
      return text();
    case 4:
      return next() * one([1n, -1n, 10n ** 30n]);
    case 5:
      return one([Symbol.for(text()), ...WELL_KNOWN.map((name) => Symbol[name])]);
    case 6:
      return date();
    case 7:
      return new RegExp(one(PATTERNS), one(["", "g", "gi", "imsu", "dgimsuy"]));
    case 8:
      return new Map(many(3, () => [value(depth + 1, graph), value(depth + 1, graph)]));
    case 9:
      return new Set(many(4, () => value(depth + 1, graph)));
    case 10:
      return graph ? [] : error(depth, graph);
    case 11:
      return one([new URL(`https://example.org/p?q=${below(99)}#h`), new URLSearchParams({ a: String(below(9)), b: "x y" })]);
    case 12:
      return bytes();
    case 13:
      return many(5, () => value(depth + 1, graph));
    default:
      return Object.fromEntries(many(5, () => [key(graph), value(depth + 1, graph)]));
  }
}

// The program --------------------------------------------------------------------------------------

const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
const answers = createInterface({ input: child.stdout, crlfDelay: 0 })[Symbol.asyncIterator]();
let sent = 0;

async function ask(what, line) {
  sent++;
  child.stdin.write(`${what}${line}\n`);
  const { value: answer, done } = await answers.next();
  if (done)
    throw new Error("the program ended");
  return answer;
}

async function roundTrip() {
  const v = value();
  const line = write(v);
  const answer = await ask("t", line);
  strictEqual(answer, "+" + line);
  deepStrictEqual(fromTree(JSON.parse(answer.slice(1))), fromTree(JSON.parse(line)));
  strictEqual(write(fromTree(JSON.parse(answer.slice(1)))), line); /* our own reader and writer agree */
}

async function readsTheValue() { /* what the program wrote is the value, not just a text that looks like it */
  signedZeros = false; /* a zero has no sign on the wire */
  const v = value();
  signedZeros = true;
  const answer = await ask("t", write(v));
  deepStrictEqual(fromTree(JSON.parse(answer.slice(1))), v);
}

async function plainValue() {
  const v = value();
  strictEqual(await ask("p", write(v)), "+" + JSON.stringify(toPlain(v)));
}

async function fromPlainValue() { /* ordinary JSON, with what looks like records in it */
  const v = toPlain(value());
  strictEqual(await ask("f", JSON.stringify(v)), "+" + write(v));
}

async function graph() {
  const shared = value(2, true);
  const v = [value(1, true), shared, { again: shared, more: value(1, true) }];
  strictEqual(await ask("t", toGraph(v)), "+" + write(v));
}

async function cycle() {
  const inner = { a: value(3, true) };
  const outer = one([() => [inner], () => ({ inner }), () => new Map([[1, inner]]), () => new Set([inner])])();
  inner.back = outer;
  strictEqual((await ask("t", toGraph([outer])))[0], "-");
}

/* JSON that other writers would write: blanks, escapes, forms of numbers, keys that come twice. */
function loose(v) {
  const blank = () => one(["", "", " ", "\t", "  "]);
  if (typeof v === "string")
    return '"' + [...Array(v.length).keys()].map((i) => {
      const unit = v.charCodeAt(i);
      return below(3) === 0 || unit < 0x20 || unit === 34 || unit === 92 || (unit >= 0xd800 && unit < 0xe000)
        ? "\\u" + unit.toString(16).padStart(4, "0") : v[i];
    }).join("") + '"';
  if (typeof v === "number")
    return one([String(v), v.toExponential(20), Number.isInteger(v) && Math.abs(v) < 1e15 ? v.toFixed(3) : String(v)]);
  if (Array.isArray(v))
    return `[${v.map((m) => blank() + loose(m) + blank()).join(",")}${blank()}]`;
  if (typeof v === "object" && v !== null) {
    const members = Object.entries(v).map(([k, m]) => blank() + loose(k) + blank() + ":" + blank() + loose(m));
    const twice = members.length > 0 && below(3) === 0 ? [loose(one(Object.keys(v))) + ":" + below(9)] : [];
    return `{${[...twice, ...members].join(",")}${blank()}}`;
  }
  return String(v);
}

async function looseText() {
  const tree = JSON.parse(JSON.stringify(toPlain(value()), (k, v) =>
    typeof v === "object" && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).filter(([name]) => !ESCAPED.includes(name))) : v));
  const line = loose(tree);
  strictEqual(await ask("t", line), "+" + JSON.stringify(JSON.parse(line)));
}

async function unsafeKeys() {
  const v = { a: value(3), b: 1 };
  const line = `{"__proto__":{"x":1},${write(v).slice(1, -1)},"constructor":${write(value(4))},"prototype":null}`;
  strictEqual(await ask("t", line), "+" + write(v));
}

const BAD = [
  () => record("Unknown", 1), () => record("undefined", null), () => record("BigInt", one(["", "1.5", "x", "0x10", "--1"])),
  () => record("BigInt", 7), () => record("NonFiniteNumber", one(["nan", "", "infinity", "1"])), () => record("Date", one(["yesterday", "2024-13-01T00:00:00.000Z", true])),
  () => record("Uint8Array", one([[256], [-1], [1.5], ["1"], "AA", { 0: 1 }])), () => record("Int16Array", [1]),
  () => record("Float64Array", [1, 2, 3, 4]), () => record("BigUint64Array", Array(9).fill(0)),
  () => record("Map", one([[[1]], [1], [[1, 2, 3]], 7, null])), () => record("Set", one([7, null, true])),
  () => record("RegExp", { pattern: one(["(a+)+", "(a*)*", "(a|a)*", "(a|ab)+", "(|a)+", "(a{2,})*", "a".repeat(1025)]), flags: "" }),
  () => record("RegExp", { pattern: "a", flags: one(["gg", "x", "G"]) }), () => record("RegExp", one([7, { pattern: 1, flags: "" }])),
  () => record("Symbol", one([{ kind: "Other", key: "a" }, { kind: "For" }, "x"])), () => record("Error", one([{ name: "E" }, { message: "m" }, { name: 1, message: "m" }, null])),
];

async function badOnes() {
  let v = one(BAD)();
  for (let i = below(4); i > 0; i--)
    v = one([(x) => [1, x], (x) => ({ k: x }), (x) => record("Set", [x]), (x) => record("Map", [["k", x]])])(v);
  const answer = await ask("t", JSON.stringify(v));
  strictEqual(answer[0], "-", `${JSON.stringify(v)} was taken: ${answer}`);
}

async function depth() {
  for (const [levels, taken] of [[1000, "+"], [1001, "+"], [1002, "-"], [5000, "-"]])
    strictEqual((await ask("t", "[".repeat(levels) + "]".repeat(levels)))[0], taken, `${levels} levels`);
}

const CHECKS = { roundTrip, readsTheValue, plainValue, fromPlainValue, graph, cycle, looseText, unsafeKeys, badOnes };

await depth();
for (let i = 0; i < count; i++) {
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      await check();
    } catch (error) {
      console.log(`seed ${seed}, value ${i}, ${name}: ${error.message}`);
      process.exit(1);
    }
  }
}
child.stdin.end();
console.log(`${sent} texts`);
process.exit(0);
