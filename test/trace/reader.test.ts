/** The reader: what a trace means, and one error text for everything that can be wrong with it. */
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { readTrace, TraceError, TraceParser } from "#src/trace/index.js";
import { CALLOC, FREE, MALLOC, MEMALIGN, REALLOC, THREAD } from "#src/trace/ops.js";
import { filesCreate, parse } from "./traces.js";

const put = filesCreate();

const EVERYTHING = `# terrane-trace 1
# a comment

m 1 100
c 2 3 10
t 1
a 3 64 200
r 2 4 50
f 1
  # blank in front
r 0 5 7\r
t 0
f 3
m\t6  1
`;

test("every operation becomes a record, and slots are used again", () => {
  const { records } = parse(EVERYTHING);
  assert.deepEqual(
    [...records],
    [
      [MALLOC, 0, 100, 0],
      [CALLOC, 1, 3, 10],
      [THREAD, 1, 0, 0],
      [MEMALIGN, 2, 64, 200],
      [REALLOC, 1, 50, 0],
      [FREE, 0, 0, 0],
      [REALLOC, 0, 7, 0],
      [THREAD, 0, 0, 0],
      [FREE, 2, 0, 0],
      [MALLOC, 2, 1, 0],
    ].flat(),
  );
});

test("the facts of a trace", () => {
  assert.deepEqual(parse(EVERYTHING).facts, {
    operations: 8,
    allocations: 6,
    threads: 2,
    peakLiveBytes: 350,
    peakRecord: 4,
    liveAtEnd: 3,
    slots: 3,
    aligned: true,
  });
});

test("a trace may be cut into pieces anywhere", () => {
  const whole = parse(EVERYTHING);
  for (const size of [1, 2, 3, 7, 50]) {
    const parser = new TraceParser("x.trace");
    const bytes = Buffer.from(EVERYTHING);
    for (let at = 0; at < bytes.length; at += size) parser.feed(bytes.subarray(at, at + size));
    assert.deepEqual(parser.finish(), whole);
  }
});

test("a trace needs no newline at its end", () => {
  assert.deepEqual(parse("m 1 8\nf 1").records, parse("m 1 8\nf 1\n").records);
});

test("gzip is recognised by its bytes and read like text", async () => {
  const text = EVERYTHING + Array.from({ length: 50_000 }, (_, i) => `m ${i + 7} ${i}\n`).join("");
  const plain = await readTrace(put("plain.gz", text));
  const packed = await readTrace(put("packed.txt", gzipSync(text)));
  assert.deepEqual(packed.records, plain.records);
  assert.deepEqual(packed.facts, plain.facts);
  assert.equal(plain.facts.allocations, 50_006);
});

test("the header of each committed trace agrees with what is read", async () => {
  for (const name of ["sqlite", "python", "perl", "git-repack-3-threads"]) {
    const { facts } = await readTrace(`bench/traces/${name}.trace.gz`);
    const { gunzipSync } = await import("node:zlib");
    const { readFileSync } = await import("node:fs");
    const head = gunzipSync(readFileSync(`bench/traces/${name}.trace.gz`)).toString(
      "latin1",
      0,
      999,
    );
    const count = (what: string) => Number(new RegExp(`${what}: (\\d+)`).exec(head)?.[1]);
    assert.deepEqual(
      [facts.operations, facts.allocations, facts.threads, facts.peakLiveBytes, facts.liveAtEnd],
      ["operations", "allocations", "threads", "peak-live-bytes", "live-at-end"].map(count),
      name,
    );
  }
});

/** Text of the trace, then the error behind "x.trace:". */
const FAULTS: readonly (readonly [string, string])[] = [
  ["", "1: the trace has no operation"],
  ["# nothing\n\nt 1\n", "3: the trace has no operation"],
  ["m 1 8\nx 1\n", '2: unknown operation "x"'],
  ["malloc 1 8\n", '1: unknown operation "malloc"'],
  ["\x1b[31m 1\n", '1: unknown operation "?[31m"'],
  [`${"z".repeat(99)}\n`, `1: unknown operation "${"z".repeat(24)}…"`],
  ["m 1\n", '1: too few fields, expected "m ID SIZE"'],
  ["m 1 2 3\n", '1: too many fields, expected "m ID SIZE"'],
  ["c 1 2\n", '1: too few fields, expected "c ID COUNT SIZE"'],
  ["a 1 8\n", '1: too few fields, expected "a ID ALIGNMENT SIZE"'],
  ["r 0 1\n", '1: too few fields, expected "r OLD NEW SIZE"'],
  ["f\n", '1: too few fields, expected "f ID"'],
  ["t 1 2\n", '1: too many fields, expected "t N"'],
  ["m 1 ten\n", '1: size "ten" is not a whole number'],
  ["m 1 1.5\n", '1: size "1.5" is not a whole number'],
  ["m 1 1e3\n", '1: size "1e3" is not a whole number'],
  ["m 1 0x10\n", '1: size "0x10" is not a whole number'],
  ["m 1 -\n", '1: size "-" is not a whole number'],
  ["m one 1\n", '1: ID "one" is not a whole number'],
  ["m 1 -5\n", "1: size -5 is negative"],
  ["m -1 5\n", "1: ID -1 is negative"],
  ["m 1 2147483648\n", "1: size 2147483648 is above 2147483647"],
  ["m 1 99999999999999999999\n", "1: size 99999999999999999999 is above 2147483647"],
  ["c 1 x 1\n", '1: count "x" is not a whole number'],
  ["c 1 65536 32768\n", "1: count 65536 * size 32768 is above 2147483647"],
  ["a 1 0 8\n", "1: alignment 0 is not a power of two"],
  ["a 1 24 8\n", "1: alignment 24 is not a power of two"],
  ["t -1\n", "1: thread -1 is negative"],
  ["m 0 5\n", "1: ID 0 is not valid: IDs count up from 1"],
  ["m 2 5\n", "1: ID 2 is out of order, the next new one is 1"],
  ["m 1 5\nm 1 5\n", "2: ID 1 is used twice"],
  ["m 1 5\nf 1\nm 1 5\n", "3: ID 1 is used twice"],
  ["m 1 5\nr 1 1 5\n", "2: ID 1 is used twice"],
  ["f 1\n", "1: ID 1 is unknown"],
  ["f 0\n", "1: ID 0 is unknown"],
  ["r 7 1 5\n", "1: ID 7 is unknown"],
  ["m 1 5\nf 1\nf 1\n", "3: ID 1 is not live: it was freed or reallocated before"],
  ["m 1 5\nr 1 2 9\nf 1\n", "3: ID 1 is not live: it was freed or reallocated before"],
  ["m 1 5\nr 1 2 9\nr 1 3 9\n", "3: ID 1 is not live: it was freed or reallocated before"],
  [`m 1 5\n${"#".repeat(70_000)}`, "2: the line is longer than 65536 bytes"],
];

for (const [text, fault] of FAULTS) {
  test(`error: ${fault}`, () => {
    assert.throws(() => parse(text), { name: "TraceError", message: `x.trace:${fault}` });
  });
}

test("an error carries file and line", () => {
  assert.throws(
    () => parse("m 1 5\nf 2\n"),
    (error) => error instanceof TraceError && error.file === "x.trace" && error.line === 2,
  );
});

test("files that cannot be read", async () => {
  const missing = join(tmpdir(), "terrane-no-such-trace");
  const message = `${missing}: cannot be read: no such file`;
  await assert.rejects(readTrace(missing), { name: "TraceError", message });
  const folder = `${tmpdir()}: cannot be read: it is a folder`;
  await assert.rejects(readTrace(tmpdir()), { name: "TraceError", message: folder });
});

test("gzip that is cut off or damaged", async () => {
  const noise = Array.from({ length: 20_000 }, (_, i) => `m ${i + 1} ${(i * 7919) % 4093}\n`);
  const packed = gzipSync(noise.join(""));
  const cut = put("cut.gz", packed.subarray(0, packed.length >> 1));
  await assert.rejects(readTrace(cut), (error: TraceError) => {
    const end = /cut\.gz:(\d+): the gzip data ends too early$/.exec(error.message);
    return error instanceof TraceError && Number(end?.[1]) > 1000;
  });
  const damaged = put("damaged.gz", Buffer.concat([packed.subarray(0, 10), Buffer.alloc(50, 255)]));
  const message = `${damaged}:1: the gzip data is damaged`;
  await assert.rejects(readTrace(damaged), { name: "TraceError", message });
});

test("empty files, plain and gzip", async () => {
  const plain = put("empty", "");
  const packed = put("empty.gz", gzipSync(""));
  await assert.rejects(readTrace(plain), { message: `${plain}:1: the trace has no operation` });
  await assert.rejects(readTrace(packed), { message: `${packed}:1: the trace has no operation` });
});
