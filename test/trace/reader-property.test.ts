/** Any valid trace that is written and read again is the same trace. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Trace } from "#src/trace/index.js";
import { TraceParser } from "#src/trace/index.js";
import { CALLOC, FREE, MALLOC, MEMALIGN, REALLOC, RECORD_WORDS, THREAD } from "#src/trace/ops.js";

interface Draft {
  readonly op: "m" | "c" | "a" | "r" | "f" | "t";
  readonly pick: number;
  readonly a: number;
  readonly b: number;
}

const size = fc.oneof(fc.nat(300), fc.nat(0x7fffffff));
const draft: fc.Arbitrary<Draft> = fc.record({
  op: fc.constantFrom("m", "c", "a", "r", "f", "t"),
  pick: fc.nat(),
  a: size,
  b: fc.nat(1000),
});

/** Lines with valid IDs; frees without a block are left out. */
function linesOf(drafts: readonly Draft[]): string[] {
  const lines = ["m 1 0"];
  const live = [1];
  let id = 1;
  const take = (pick: number) => live.splice(pick % live.length, 1)[0] as number;
  const make = () => {
    live.push(++id);
    return id;
  };
  for (const { op, pick, a, b } of drafts) {
    if (op === "m") lines.push(`m ${make()} ${a}`);
    if (op === "c") lines.push(`c ${make()} ${b} ${a % 2_000_000}`);
    if (op === "a") lines.push(`a ${make()} ${2 ** (b % 16)} ${a}`);
    if (op === "t") lines.push(`t ${b}`);
    if (op === "f" && live.length > 0) lines.push(`f ${take(pick)}`);
    if (op === "r") lines.push(`r ${live.length > 0 ? take(pick) : 0} ${make()} ${a}`);
  }
  return lines;
}

/** Each record as a line. */
function linesFrom({ records, facts }: Trace): string[] {
  const ids = new Uint32Array(facts.slots);
  const lines: string[] = [];
  let id = 0;
  for (let at = 0; at < records.length; at += RECORD_WORDS) {
    const [kind, slot = 0, a, b] = records.subarray(at, at + RECORD_WORDS);
    const old = ids[slot];
    if (kind === THREAD) lines.push(`t ${slot}`);
    if (kind === FREE) lines.push(`f ${old}`);
    if (kind !== THREAD) ids[slot] = kind === FREE ? 0 : ++id;
    if (kind === MALLOC) lines.push(`m ${id} ${a}`);
    if (kind === CALLOC) lines.push(`c ${id} ${a} ${b}`);
    if (kind === MEMALIGN) lines.push(`a ${id} ${a} ${b}`);
    if (kind === REALLOC) lines.push(`r ${old} ${id} ${a}`);
  }
  return lines;
}

test("written and read again, every trace is the same", () => {
  const drafts = fc.array(draft, { maxLength: 200 });
  const property = fc.property(drafts, fc.integer({ min: 1, max: 100 }), (list, cut) => {
    const lines = linesOf(list);
    const parser = new TraceParser("property");
    const bytes = Buffer.from(lines.join("\n"));
    for (let at = 0; at < bytes.length; at += cut) parser.feed(bytes.subarray(at, at + cut));
    assert.deepEqual(linesFrom(parser.finish()), lines);
  });
  // fast-check prints the seed of a failure.
  fc.assert(property, { numRuns: 500 });
});
