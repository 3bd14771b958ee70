/**
 * Random programs with an allocator of their own: overridden in both forms, they read from their
 * blocks what they have written.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createAbi, createHeap } from "#src/heap/index.js";
import { ModuleEditor, override, overrideImports, readModule } from "#src/wasm/index.js";
import { seedOf } from "../../support/random.js";
import { moduleOf, type Numbers, plain, section } from "../support/fixtures.js";

const I32 = 0x7f;
const SLOTS = 6;
const [GET, SET, TEE] = [0x20, 0x21, 0x22];
const [MALLOC, FREE, REALLOC, CALLOC] = [0, 1, 2, 3];

/** One step of a program, as code; local 0 is the result, the others are blocks. */
type Step = readonly number[];

const slot = fc.integer({ min: 1, max: SLOTS });
/** Blocks that a one-page allocator can hand out many times over, with space for two words. */
const size = fc.integer({ min: 8, max: 63 });

/** sum = sum * 31 + the words of a block. */
const look = (at: number): Step => [
  ...[GET, 0, 0x41, 31, 0x6c, GET, at, 0x28, 0, 0, 0x6a],
  ...[GET, at, 0x28, 0, 4, 0x6a, SET, 0],
];

/** Frees the block of a slot, if there is one. */
const drop = (at: number): Step => [
  ...[GET, at, 0x04, 0x40, ...look(at), GET, at, 0x10, FREE, 0x41, 0, SET, at, 0x0b],
];

const fill = (at: number, value: number): Step => [
  ...[GET, at, 0x41, value, 0x36, 0, 0, GET, at, 0x41, value, 0x36, 0, 4],
];

const step = fc.oneof(
  fc.tuple(slot, size, fc.nat(63)).map(([at, bytes, value]): Step => {
    return [...drop(at), 0x41, bytes, 0x10, MALLOC, SET, at, ...fill(at, value)];
  }),
  fc.tuple(slot, size).map(([at, bytes]): Step => {
    return [...drop(at), 0x41, 1, 0x41, bytes, 0x10, CALLOC, SET, at, ...look(at)];
  }),
  fc.tuple(slot, size, fc.nat(63)).map(([at, bytes, value]): Step => {
    const resize = [GET, at, 0x41, bytes, 0x10, REALLOC, TEE, at, 0x1a, ...look(at)];
    return [GET, at, 0x04, 0x40, ...resize, ...fill(at, value), 0x0b];
  }),
  slot.map(drop),
  fc.tuple(slot, fc.nat(63)).map(([at, value]): Step => {
    return [GET, at, 0x04, 0x40, ...fill(at, value), 0x0b];
  }),
  // Pages that the program adds itself: their first word must not change.
  fc.constant<Step>([
    ...[0x41, 1, 0x40, 0, 0x41, 16, 0x74, TEE, SLOTS + 1, 0x41, 9, 0x36, 0, 0],
    ...[GET, 0, GET, SLOTS + 1, 0x28, 0, 0, 0x6a, SET, 0],
  ]),
);

const leb = (value: number): number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
const text = (name: string) => [name.length, ...new TextEncoder().encode(name)];

function body(locals: number, ...code: number[]): number[] {
  const all = [...(locals > 0 ? [1, locals, I32] : [0]), ...code, 0x0b];
  return [...leb(all.length), ...all];
}

/** An allocator whose free does nothing; the size of a block is before it. */
const bump = [
  // malloc: p = top + 8; top = p + round(size); p[-1] = size
  ...body(
    1,
    ...[0x23, 0, 0x41, 8, 0x6a, TEE, 1, GET, 0, 0x41, 15, 0x6a, 0x41, 0x70, 0x71, 0x6a, 0x24, 0],
    ...[GET, 1, 0x41, 4, 0x6b, GET, 0, 0x36, 0, 0, GET, 1],
  ),
  ...body(0, 0x01),
  // realloc: a new block, and the smaller size copied
  ...body(
    1,
    ...[GET, 1, 0x10, MALLOC, TEE, 2, GET, 0, GET, 0, 0x41, 4, 0x6b, 0x28, 0, 0, GET, 1],
    ...[GET, 0, 0x41, 4, 0x6b, 0x28, 0, 0, GET, 1, 0x49, 0x1b, 0xfc, 10, 0, 0, GET, 2],
  ),
  ...body(0, GET, 0, GET, 1, 0x6c, 0x10, MALLOC),
];

function program(steps: readonly Step[]): Uint8Array<ArrayBuffer> {
  const run = body(SLOTS + 1, ...steps.flat(), GET, 0);
  const exported = ["malloc", "free", "realloc", "calloc", "run"];
  return moduleOf(
    section(1, 3, 0x60, 1, I32, 1, I32, 0x60, 1, I32, 0, 0x60, 2, I32, I32, 1, I32),
    section(3, 5, 0, 1, 2, 2, 0),
    section(5, 1, 0, 1),
    section(6, 1, I32, 1, 0x41, 16, 0x0b),
    section(7, 5, ...exported.flatMap((name, i) => [...text(name), 0, i])),
    section(10, 5, ...bump, ...run),
  );
}

test("random programs have the same results on our heap, in both forms and in the editor", () => {
  const property = fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
    const original = program(steps);
    const run = (bytes: Uint8Array<ArrayBuffer>, imports: WebAssembly.Imports = {}) => {
      const { run: call } = plain(bytes, imports) as Numbers;
      return [call?.(1), call?.(2)];
    };
    const wanted = run(original);
    const merged = override(original, { trust: true });
    assert.deepEqual(run(merged.bytes), wanted);
    assert.deepEqual(run(new ModuleEditor(readModule(merged.bytes)).write().bytes), wanted);
    const { bytes, report } = override(original, { form: "import", trust: true });
    const heap = createHeap({ offset: report.memory.min * 65536 });
    assert.deepEqual(
      run(bytes, overrideImports({ memory: heap.memory, abi: createAbi(heap) })),
      wanted,
    );
  });
  fc.assert(property, { seed: seedOf(8), numRuns: 150 });
});
