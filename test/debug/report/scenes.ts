/** Every mistake, made on purpose, with the text that must be said about it. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { hex } from "#src/common/errors.js";
import { type DebugAllocator, type DebugOptions, debug, type Report } from "#src/debug/index.js";
import type { detectors } from "#src/debug/store/switches.js";
import type { BackEnd } from "#src/heap/calls/contract.js";
import { chunk, createAllocator, pipe, segregated, std } from "#src/layers/index.js";
import { arrayBuffer, wasmMemory } from "#src/memory/index.js";
import { anyHeap } from "../../support/any-heap.js";
import { root } from "../../support/checkout.js";

type Backing = NonNullable<DebugOptions["backingAllocator"]>;

export interface BackingRow {
  name: string;
  create(backend: BackEnd): Backing;
}

/** What a debug allocator can stand on; each in both back ends. */
export const backings: BackingRow[] = [
  { name: "a heap", create: (backend) => anyHeap({ backend }) },
  {
    name: "a composition",
    create: (backend) => createAllocator(pipe(std(anyHeap({ backend })), chunk(), segregated())),
  },
  { name: "a pool", create: (backend) => pipe(std(anyHeap({ backend })), segregated()) },
  {
    name: "a debug allocator",
    create: (backend) => debug(anyHeap({ backend }), { reportAtExit: false, onReport: "throw" }),
  },
  { name: "a memory", create: (backend) => (backend === "wasm" ? wasmMemory() : arrayBuffer()) },
];

export interface Scene {
  name: string;
  detector: keyof typeof detectors;
  options?: DebugOptions;
  /** Makes the mistake with a block of `size` bytes; answers what must have been reported. */
  play(door: DebugAllocator, size: number): string[] | Promise<string[]>;
}

// One call of the allocator in each, on the line below the name: `frame` finds it there.

function allocate(door: DebugAllocator, size: number): number {
  return door.malloc(size);
}

function allocateAligned(door: DebugAllocator, size: number): number {
  return door.memalign(64, size);
}

function allocateView(door: DebugAllocator, size: number): object {
  return door.allocArray(Uint8Array, size);
}

function free(door: DebugAllocator, ptr: number): void {
  door.free(ptr);
}

function freeAgain(door: DebugAllocator, ptr: number): void {
  door.free(ptr);
}

function freeSized(door: DebugAllocator, ptr: number, size: number, alignment?: number): void {
  door.freeSized(ptr, size, alignment);
}

function resize(door: DebugAllocator, ptr: number, size: number): number {
  return door.realloc(ptr, size);
}

function resizeSized(door: DebugAllocator, ptr: number, old: number, alignment?: number): number {
  return door.reallocSized(ptr, old, old + 9, alignment);
}

function measure(door: DebugAllocator, ptr: number): number {
  return door.usableSize(ptr);
}

function look(door: DebugAllocator): void {
  door.check();
}

function lookForLeaks(door: DebugAllocator): number {
  return door.detectLeaks();
}

function end(door: DebugAllocator): string {
  return door.deinit();
}

export function make(backing: Backing, options: DebugOptions = {}): DebugAllocator {
  return debug(backing, { stackTraceFrames: 1, reportAtExit: false, ...options });
}

const file = `${root}test/debug/report/scenes.ts`;
const lines = readFileSync(file, "utf8").split("\n");

/** What a report says of the one call in a function of this file. */
export function frame(name: string): string {
  const line =
    lines.findIndex((text) => text.replace("export ", "").startsWith(`function ${name}(`)) + 1;
  const text = (lines[line] as string).trim();
  const column = (lines[line] as string).indexOf(text);
  const call = /(door\.|debug)(?=\w*\()/.exec(text) as RegExpExecArray;
  const at = call.index + (call[1] === "debug" ? 0 : call[0].length);
  const mark = " ".repeat(at);
  return `    at ${name} (${file}:${line + 1}:${column + at + 1})\n      ${text}\n      ${mark}^`;
}

/** A report's text: a message, then titles with the function whose call is under them. */
function said(message: string, stacks: [title: string, name: string][]): string {
  return [message, ...stacks.map(([title, name]) => `  ${title}:\n${frame(name)}`)].join("\n");
}

function theBlock(size: number, ptr: number): string {
  return `the block of ${size} bytes at ${hex(ptr)}`;
}

export const scenes: Scene[] = [
  {
    name: "a leak, on demand",
    detector: "leak",
    play(door, size) {
      const ptr = allocate(door, size);
      assert.equal(lookForLeaks(door), 1);
      free(door, ptr);
      const title = `1 block of ${size} bytes (${hex(ptr)}) allocated`;
      return [said(`leak: 1 block of ${size} bytes never freed`, [[title, "allocate"]])];
    },
  },
  {
    name: "leaks from two places, at deinit",
    detector: "leak",
    play(door, size) {
      const first = allocateAligned(door, size);
      const [a, b, c, d, e] = Array.from({ length: 5 }, () => allocate(door, size));
      assert.equal(end(door), "leak");
      const named = [a, b, c, d].map((ptr) => hex(ptr as number)).join(", ");
      assert.ok(e);
      return [
        said(`leak: 6 blocks of ${6 * size} bytes never freed`, [
          [`5 blocks of ${5 * size} bytes (${named}, …) allocated`, "allocate"],
          [`1 block of ${size} bytes (${hex(first)}) allocated`, "allocateAligned"],
        ]),
      ];
    },
  },
  {
    name: "a double free",
    detector: "doubleFree",
    play(door, size) {
      const ptr = allocate(door, size);
      free(door, ptr);
      freeAgain(door, ptr);
      return [
        said(`double free of ${theBlock(size, ptr)}`, [
          ["allocated", "allocate"],
          ["freed first", "free"],
          ["freed again", "freeAgain"],
        ]),
      ];
    },
  },
  {
    name: "a realloc after free",
    detector: "useAfterFree",
    play(door, size) {
      const ptr = allocate(door, size);
      free(door, ptr);
      assert.equal(resize(door, ptr, 2 * size), 0);
      return [
        said(`realloc of ${theBlock(size, ptr)} after it was freed`, [
          ["allocated", "allocate"],
          ["freed", "free"],
          ["used", "resize"],
        ]),
      ];
    },
  },
  {
    name: "the size of a block that is free",
    detector: "useAfterFree",
    play(door, size) {
      const ptr = allocate(door, size);
      free(door, ptr);
      assert.equal(measure(door, ptr), 0);
      return [
        said(`usableSize of ${theBlock(size, ptr)} after it was freed`, [
          ["allocated", "allocate"],
          ["freed", "free"],
          ["used", "measure"],
        ]),
      ];
    },
  },
  {
    name: "a free of an address behind a block",
    detector: "invalidFree",
    play(door, size) {
      const ptr = allocate(door, size);
      free(door, ptr + size + 4);
      free(door, ptr);
      return [
        said(
          `free of ${hex(ptr + size + 4)}, which is no block; ` +
            `4 bytes behind the end of ${theBlock(size, ptr)}`,
          [
            ["nearest allocated", "allocate"],
            ["free", "free"],
          ],
        ),
      ];
    },
  },
  {
    name: "a free of an address before a block that is free",
    detector: "invalidFree",
    play(door, size) {
      const ptr = allocate(door, size);
      free(door, ptr);
      freeAgain(door, ptr - 1);
      return [
        said(`free of ${hex(ptr - 1)}, which is no block; 1 byte before ${theBlock(size, ptr)}`, [
          ["nearest allocated", "allocate"],
          ["nearest freed", "free"],
          ["free", "freeAgain"],
        ]),
      ];
    },
  },
  {
    name: "a free where nothing was allocated",
    detector: "invalidFree",
    play(door) {
      free(door, 24);
      return [said("free of 0x18, which is no block", [["free", "free"]])];
    },
  },
  {
    name: "a free of an address inside a block",
    detector: "interiorPointer",
    play(door, size) {
      const ptr = allocate(door, size);
      free(door, ptr + 1);
      free(door, ptr);
      return [
        said(`free of ${hex(ptr + 1)}, 1 byte into ${theBlock(size, ptr)}`, [
          ["allocated", "allocate"],
          ["free", "free"],
        ]),
      ];
    },
  },
  {
    name: "a realloc of an address inside a block that is free",
    detector: "interiorPointer",
    play(door, size) {
      const ptr = allocate(door, size);
      free(door, ptr);
      resize(door, ptr + 16, 5);
      return [
        said(`realloc of ${hex(ptr + 16)}, 16 bytes into ${theBlock(size, ptr)}, which is free`, [
          ["allocated", "allocate"],
          ["freed", "free"],
          ["realloc", "resize"],
        ]),
      ];
    },
  },
  {
    name: "a free with another size",
    detector: "sizeMismatch",
    play(door, size) {
      const ptr = allocate(door, size);
      freeSized(door, ptr, size - 1);
      return [
        said(`freeSized of ${theBlock(size, ptr)} with a size of ${size - 1}`, [
          ["allocated", "allocate"],
          ["freeSized", "freeSized"],
        ]),
      ];
    },
  },
  {
    name: "a resize with another size",
    detector: "sizeMismatch",
    play(door, size) {
      const ptr = allocate(door, size);
      free(door, resizeSized(door, ptr, size + 1));
      return [
        said(`reallocSized of ${theBlock(size, ptr)} with a size of ${size + 1}`, [
          ["allocated", "allocate"],
          ["reallocSized", "resizeSized"],
        ]),
      ];
    },
  },
  {
    name: "a free with another alignment",
    detector: "alignmentMismatch",
    play(door, size) {
      const ptr = allocateAligned(door, size);
      freeSized(door, ptr, size, 32);
      return [
        said(`freeSized of ${theBlock(size, ptr)}, aligned to 64, with an alignment of 32`, [
          ["allocated", "allocateAligned"],
          ["freeSized", "freeSized"],
        ]),
      ];
    },
  },
  {
    name: "a resize with another alignment",
    detector: "alignmentMismatch",
    play(door, size) {
      const ptr = allocateAligned(door, size);
      free(door, resizeSized(door, ptr, size, 16));
      return [
        said(`reallocSized of ${theBlock(size, ptr)}, aligned to 64, with an alignment of 16`, [
          ["allocated", "allocateAligned"],
          ["reallocSized", "resizeSized"],
        ]),
      ];
    },
  },
  {
    name: "a write past the end, found by free",
    detector: "writePastEnd",
    play(door, size) {
      const ptr = allocate(door, size);
      door.u8[ptr + size] = 0;
      free(door, ptr);
      return [
        said(
          `write past the end of ${theBlock(size, ptr)}: 1 byte changed, ` +
            `the first at offset ${size}`,
          [
            ["allocated", "allocate"],
            ["found", "free"],
          ],
        ),
      ];
    },
  },
  {
    name: "writes past the end, found by realloc and by check, once each",
    detector: "writePastEnd",
    play(door, size) {
      const ptr = allocate(door, size);
      door.u8.fill(7, ptr + size + 1, ptr + size + 4);
      const moved = resize(door, ptr, size + 1);
      door.u8[moved + size + 8] = 1;
      look(door);
      look(door);
      free(door, moved);
      const stacks: [string, string][] = [["allocated", moved === ptr ? "allocate" : "resize"]];
      return [
        said(
          `write past the end of ${theBlock(size, ptr)}: 3 bytes changed, ` +
            `the first at offset ${size + 1}`,
          [
            ["allocated", "allocate"],
            ["found", "resize"],
          ],
        ),
        said(
          `write past the end of ${theBlock(size + 1, moved)}: 1 byte changed, ` +
            `the first at offset ${size + 8}`,
          [...stacks, ["found", "look"]],
        ),
      ];
    },
  },
  {
    name: "a write before the start",
    detector: "writeBeforeStart",
    play(door, size) {
      const ptr = allocate(door, size);
      door.u32[(ptr - 8) / 4] = 0;
      free(door, ptr);
      return [
        said(
          `write before the start of ${theBlock(size, ptr)}: 4 bytes changed, ` +
            "the first at offset -8",
          [
            ["allocated", "allocate"],
            ["found", "free"],
          ],
        ),
      ];
    },
  },
  {
    name: "a write before the start of an aligned block, found by check",
    detector: "writeBeforeStart",
    play(door, size) {
      const ptr = allocateAligned(door, size);
      door.u8[ptr - 64] = 0;
      look(door);
      free(door, ptr);
      return [
        said(
          `write before the start of ${theBlock(size, ptr)}: 1 byte changed, ` +
            "the first at offset -64",
          [
            ["allocated", "allocateAligned"],
            ["found", "look"],
          ],
        ),
      ];
    },
  },
  {
    name: "a write after free, found by check, once",
    detector: "writeAfterFree",
    play(door, size) {
      const ptr = allocate(door, size);
      free(door, ptr);
      door.u8.fill(1, ptr + 2, ptr + 4);
      look(door);
      look(door);
      return [
        said(
          `write to ${theBlock(size, ptr)} after it was freed: 2 bytes changed, ` +
            "the first at offset 2",
          [
            ["allocated", "allocate"],
            ["freed", "free"],
            ["found", "look"],
          ],
        ),
      ];
    },
  },
  {
    name: "a write after free, found when the memory goes back",
    detector: "writeAfterFree",
    options: { quarantine: 0, pageSize: 16384 },
    play(door, size) {
      // As many as fill a page. A large block has no page, and must not go back at once.
      const count = size > 1024 ? 0 : Math.floor(16384 / 128) - 1;
      const fillers = Array.from({ length: Math.max(count, 0) }, () => door.malloc(size));
      if (count === 0) return skipLarge(door, size);
      const ptr = allocate(door, size);
      free(door, ptr);
      door.u8[ptr] = 1;
      for (const filler of fillers) freeAgain(door, filler);
      return [
        said(
          `write to ${theBlock(size, ptr)} after it was freed: 1 byte changed, ` +
            "the first at offset 0",
          [
            ["allocated", "allocate"],
            ["freed", "free"],
            ["found", "freeAgain"],
          ],
        ),
      ];
    },
  },
  {
    name: "use by another thread",
    detector: "wrongThread",
    options: { threadId: () => thread },
    play(door, size) {
      const ptr = allocate(door, size);
      thread = 7;
      assert.equal(allocate(door, size), 0);
      free(door, ptr);
      thread = 1;
      free(door, ptr);
      return [
        said("malloc by thread 7 of an allocator of thread 1", [
          ["created", "make"],
          ["malloc", "allocate"],
        ]),
        said("free by thread 7 of an allocator of thread 1", [
          ["created", "make"],
          ["free", "free"],
        ]),
      ];
    },
  },
  {
    name: "more than the memory limit",
    detector: "memoryLimit",
    options: { enableMemoryLimit: true, requestedMemoryLimit: 7000 },
    play(door, size) {
      const ptr = allocate(door, size);
      assert.equal(allocate(door, 7001 - size), 0);
      assert.equal(resize(door, ptr, 7001), 0);
      free(door, ptr);
      const limit = `over the limit of 7000 bytes, ${size} in use`;
      return [
        said(`request of ${7001 - size} bytes ${limit}`, [["requested", "allocate"]]),
        said(`request of 7001 bytes ${limit}`, [["requested", "resize"]]),
      ];
    },
  },
  {
    name: "a view that is collected before its block is freed",
    detector: "forgottenHandle",
    async play(door, size) {
      const before = new Set<number>();
      door.visitBlocks((ptr) => void before.add(ptr));
      allocateView(door, size);
      const [ptr] = [...livePtrs(door)].filter((each) => !before.has(each)) as [number];
      await collect();
      free(door, ptr);
      const what = `${theBlock(size, ptr)} is still allocated, but what held it was collected`;
      return [said(`forgotten handle: ${what}`, [["allocated", "allocateView"]])];
    },
  },
];

let thread = 1;

/** A large block in no quarantine goes back at once, so a write after that is nobody's to find. */
function skipLarge(door: DebugAllocator, size: number): string[] {
  free(door, allocate(door, size));
  assert.equal(door.stats().residentBytes, 0);
  return [];
}

export function livePtrs(door: DebugAllocator): Set<number> {
  const ptrs = new Set<number>();
  door.visitBlocks((ptr) => void ptrs.add(ptr));
  return ptrs;
}

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

/** Collects what can be collected, and lets finalizers run. */
export async function collect(): Promise<void> {
  for (let round = 0; round < 4; round++) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Plays a scene and compares every word of what was reported. */
export async function scenePlay(
  scene: Scene,
  backing: Backing,
  size: number,
): Promise<DebugAllocator> {
  const reports: Report[] = [];
  thread = 1;
  const door = make(backing, { ...scene.options, onReport: (report) => reports.push(report) });
  const expected = await scene.play(door, size);
  assert.deepEqual(reports.map(String), expected);
  return door;
}
