/**
 * Every exported function is called with values of all kinds: what it throws is an error of this
 * package, in words, and never an engine's own.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { dist, root } from "../support/checkout.js";
import { Random, seedOf } from "../support/random.js";

const CALLS = Number(process.env.TERRANE_HOSTILE_CALLS ?? 60);

/** How engines word what a program did wrong with a value that it did not check. */
const ENGINE = [
  /^Cannot (?!be\b)/,
  /is not (a function|iterable|a constructor|an object)$/,
  /^Invalid (typed array|array|DataView|left-hand|regular)/,
  /out of bounds|outside the bounds|Maximum call stack|Right-hand side|incompatible receiver/,
  /^WebAssembly\.|private member|\(reading '|on proxy|deprecated/,
];

/** The reasons that engines give and the package passes on, behind words of its own. */
const QUOTED = /^this engine has no memory64: /;

class Mine extends Error {}

function hostileValues(): unknown[] {
  const plain = [undefined, null, true, 0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY];
  const numbers = [2 ** 31, 2 ** 32, 2 ** 53, 10n];
  const texts = ["", "x", "__proto__", Symbol("s")];
  const objects = [{}, [], [1, 2], Object.create(null), new Map(), new Date(0), /x/];
  const buffers = [new Uint8Array(8), new ArrayBuffer(8)];
  const throws = () => {
    throw new Mine();
  };
  return [...plain, ...numbers, ...texts, ...objects, ...buffers, () => {}, throws, class {}];
}

/** An object with some of the names that options have, and hostile values. */
function hostileOptions(random: Random, values: readonly unknown[]): object {
  const names = [
    "memory",
    "source",
    "initial",
    "maximum",
    "offset",
    "growth",
    "backend",
    "release",
  ];
  const more = [
    "shared",
    "onError",
    "every",
    "slots",
    "bytes",
    "kind",
    "label",
    "pageBytes",
    "form",
  ];
  const all = [...names, ...more];
  const count = random.between(1, 3);
  return Object.fromEntries(
    Array.from({ length: count }, () => [
      all[random.below(all.length)],
      values[random.below(values.length)],
    ]),
  );
}

/** What is wrong with what a call threw; undefined: nothing. */
function faultOf(error: unknown): string | undefined {
  if (error instanceof Mine) return undefined;
  if (!(error instanceof Error)) return `it threw ${typeof error}`;
  if (QUOTED.test(error.message)) return undefined;
  const isRaw = error.name === "RuntimeError" || ENGINE.some((each) => each.test(error.message));
  return isRaw ? `${error.name}: ${error.message}` : undefined;
}

/** These map memory of the system for good, or change the process. */
const NOT_CALLED = new Set(["osMemory", "osSpace", "watchFaults"]);

interface EntryPoint {
  name: string;
  functions: [string, (...args: unknown[]) => unknown][];
}

async function entryPoints(): Promise<EntryPoint[]> {
  const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  const paths = Object.entries(exports as Record<string, { default?: string }>).flatMap(
    ([name, { default: path }]) => (path && !/-reporter$/.test(name) ? [{ name, path }] : []),
  );
  return Promise.all(
    paths.map(async ({ name, path }) => {
      const all = (await import(dist + path.slice("./dist/".length))) as Record<string, never>;
      const functions = Object.entries(all).filter(
        ([key, value]) =>
          typeof value === "function" && !/^class\b/.test(String(value)) && !NOT_CALLED.has(key),
      );
      return { name, functions };
    }),
  );
}

/** Calls a function; the faults of what it throws, now or later, go into `faults`. */
async function callOnce(
  faults: Set<string>,
  call: (...args: unknown[]) => unknown,
  args: readonly unknown[],
): Promise<void> {
  try {
    await call(...args);
  } catch (error) {
    const fault = faultOf(error);
    if (fault) faults.add(fault);
  }
}

for (const { name, functions } of await entryPoints()) {
  for (const [key, call] of functions) {
    test(`${name}: ${key} refuses values of the wrong kind in words`, async (t) => {
      const seed = seedOf(1500);
      t.diagnostic(`TERRANE_SEED=${seed}`);
      const random = new Random(seed);
      const faults = new Set<string>();
      const values = hostileValues();
      const any = () =>
        random.chance(20) ? hostileOptions(random, values) : values[random.below(values.length)];
      await callOnce(faults, call, []);
      for (const value of values) await callOnce(faults, call, [value]);
      for (let i = 0; i < CALLS; i++) {
        const args = Array.from({ length: random.between(1, 4) }, any);
        await callOnce(faults, call, args);
      }
      assert.deepEqual([...faults], []);
    });
  }
}
