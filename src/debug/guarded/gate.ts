/**
 * A gate in front of the core's own functions, in WebAssembly: a few instructions decide whether a
 * call concerns a guarded block. Through JavaScript each call from wasm would take three times as
 * long, for the 999 of 1000 that need no JavaScript.
 */

/**
 * C's functions in wasm. `turn`: an allocation is guarded when the countdown is over. `range`: a
 * call concerns a guarded block if its pointer is in the range. With the numbers of parameters and
 * results.
 */
const calls: [name: string, test: "turn" | "range", parameters: number, results: number][] = [
  ["malloc", "turn", 1, 1],
  ["calloc", "turn", 2, 1],
  ["memalign", "turn", 2, 1],
  ["aligned_alloc", "turn", 2, 1],
  ["posix_memalign", "turn", 3, 1],
  ["free", "range", 1, 0],
  ["realloc", "range", 2, 1],
  ["reallocarray", "range", 3, 1],
  ["malloc_usable_size", "range", 1, 1],
];

type Functions = Record<string, (...values: number[]) => number | undefined | void>;

export interface Gate {
  readonly functions: Functions;
  /** Sets the number of allocations up to and including the next that is guarded. */
  turn(value: number): void;
  /** Sets the range of the guarded blocks. */
  range(from: number, bytes: number): void;
}

const I32 = 0x7f;
const TURN = 0;
const FROM = 1;
const BYTES = 2;

const localGet = 0x20;
const globalGet = 0x23;
const globalSet = 0x24;

/**
 * Makes a gate: calls that concern a guarded block go to `guarded`, all others to `unguarded`. Both
 * have all names.
 */
export function openGate(unguarded: Functions, guarded: Functions): Gate {
  const { exports } = new WebAssembly.Instance(gateModule(), { unguarded, guarded });
  const globals = exports as unknown as Record<string, WebAssembly.Global>;
  const set = (name: string, value: number) => {
    (globals[name] as WebAssembly.Global).value = value;
  };
  return {
    functions: Object.fromEntries(
      calls.map(([name]) => [name, exports[name]]),
    ) as unknown as Functions,
    turn: (value) => set("turn", Math.min(value, 2 ** 31 - 1)),
    range: (from, bytes) => {
      set("from", from | 0);
      set("bytes", bytes);
    },
  };
}

let compiled: WebAssembly.Module | undefined;

function gateModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(gateBytes());
  return compiled;
}

/** Call i has type i and the imports 2 i (unguarded) and 2 i + 1 (guarded). */
function gateBytes(): Uint8Array<ArrayBuffer> {
  const imported = calls.length * 2;
  const imports = calls.flatMap(([name], type) => [
    [...text("unguarded"), ...text(name), 0, type],
    [...text("guarded"), ...text(name), 0, type],
  ]);
  const variable = [I32, 1, 0x41, 0, 0x0b]; // mutable, at first 0
  const exported = calls.map(([name], index) => [...text(name), 0, imported + index]);
  const globals = ["turn", "from", "bytes"].map((name, index) => [...text(name), 3, index]);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(
      1,
      calls.map(([, , p, r]) => [0x60, p, ...types(p), r, ...types(r)]),
    ),
    ...section(2, imports),
    ...section(
      3,
      calls.map((_, type) => [type]),
    ),
    ...section(6, [variable, variable, variable]),
    ...section(7, [...exported, ...globals]),
    ...section(10, calls.map(codeOf)),
    ...moduleName(GATE_NAME),
  ]);
}

function codeOf([, test, parameters, results]: (typeof calls)[0], index: number): number[] {
  const values = Array.from({ length: parameters }, (_, local) => [localGet, local]).flat();
  const code = [
    0, // no locals
    ...(test === "turn" ? isNotTurn : isOutside),
    ...[0x04, results === 0 ? 0x40 : I32], // if, with the results of both sides
    ...[...values, 0x10, 2 * index],
    0x05, // else
    ...[...values, 0x10, 2 * index + 1],
    ...[0x0b, 0x0b],
  ];
  return [...leb(code.length), ...code];
}

/** --turn > 0 */
const isNotTurn = [
  ...[globalGet, TURN, 0x41, 1, 0x6b, globalSet, TURN],
  ...[globalGet, TURN, 0x41, 0, 0x4a],
];

/** p - from >= bytes, unsigned */
const isOutside = [localGet, 0, globalGet, FROM, 0x6b, globalGet, BYTES, 0x4f];

/** stack-table.ts leaves the gate out of stacks by this name. */
const GATE_NAME = "terrane-gate";

function moduleName(name: string): number[] {
  const body = [...text("name"), 0, name.length + 1, ...text(name)];
  return [0, ...leb(body.length), ...body];
}

function types(count: number): number[] {
  return Array(count).fill(I32);
}

function section(id: number, items: number[][]): number[] {
  const body = [...leb(items.length), ...items.flat()];
  return [id, ...leb(body.length), ...body];
}

function text(name: string): number[] {
  return [name.length, ...new TextEncoder().encode(name)];
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}
