/** A Worker with a part in a debug allocator: does what it is told, tells what was reported. */
import { parentPort, workerData } from "node:worker_threads";
import { attachDebug, type DebugHandle } from "#src/debug/index.js";
import { sharedJavascript } from "#src/heap/javascript.js";
import { Random } from "../../support/random.js";

interface Data {
  handle: DebugHandle;
  meeting?: SharedArrayBuffer;
}

const { handle, meeting } = workerData as Data;
const reports: string[] = [];
const debugged = attachDebug(handle, {
  backend: sharedJavascript,
  onReport: (report) => reports.push(String(report)),
});

/** The stack of a block of this thread begins here. */
function allocateHere(size: number): number {
  return debugged.malloc(size);
}

function freeHere(ptr: number): void {
  debugged.free(ptr);
}

/** Takes blocks from the meeting place and leaves others there, with its mark in each. */
function trade(seed: number, rounds: number): number {
  const random = new Random(seed);
  const places = new Int32Array(meeting as SharedArrayBuffer);
  let met = 0;
  for (let round = 0; round < rounds; round++) {
    const size = random.skewed(1, random.chance(5) ? 90_000 : 500);
    const mine = random.chance(10) ? debugged.memalignAt(64, size, 8) : allocateHere(size);
    if (mine === 0) throw new Error("no memory");
    debugged.u8.fill(size & 255, mine, mine + size);
    const kept = random.chance(30) ? debugged.realloc(mine, size + random.below(300)) : mine;
    const other = Atomics.exchange(places, random.below(places.length), kept) >>> 0;
    if (other === 0) continue;
    met++;
    if (!debugged.contains(other)) throw new Error("not there");
    freeHere(other);
    if (round % 100 === 0) debugged.check();
  }
  return met;
}

parentPort?.on("message", ({ call, args }: { call: string; args: number[] }) => {
  const calls: Record<string, (...args: number[]) => unknown> = {
    malloc: (size = 0) => allocateHere(size),
    free: (ptr = 0) => freeHere(ptr),
    realloc: (ptr = 0, size = 0) => debugged.realloc(ptr, size),
    write: (at = 0) => {
      debugged.u8[at] = 1;
    },
    size: (ptr = 0) => debugged.usableSize(ptr),
    trade: (seed = 0, rounds = 0) => trade(seed, rounds),
    check: () => debugged.check(),
    leaks: () => debugged.detectLeaks(),
    destroy: () => debugged.destroy(),
    exit: () => {
      setImmediate(() => process.exit());
    },
  };
  const answer = calls[call]?.(...args);
  parentPort?.postMessage({ answer, reports: reports.splice(0) });
});
