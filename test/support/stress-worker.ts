/** Allocates, resizes, frees and passes blocks on, at random; see stress.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { attachAny } from "./any-heap.js";
import { Random } from "./random.js";
import * as S from "./stress.js";

const task = workerData as S.StressTask;
const words = new Int32Array(task.words);
const base = S.WORD_TABLES + task.table * S.SLOTS;
const random = new Random(task.seed);
const heap = attachAny(task.handle);

function sizeNext(): number {
  const dice = random.below(1000);
  if (dice < 900) return 12 + random.skewed(1, 1000) * 4;
  if (dice < 990) return 4 * random.between(512, 12000);
  return 4 * random.between(16000, 150000);
}

function take(word: number): number {
  return Atomics.exchange(words, word, 0) >>> 0;
}

/** A block may be in only one word: it leaves its word before it is freed or moved. */
function put(word: number, p: number): void {
  const other = Atomics.exchange(words, word, p | 0) >>> 0;
  if (other !== 0) drop(other);
}

function drop(p: number): void {
  S.marked(heap.u32, p);
  heap.free(p);
}

function grab(slot: number): void {
  const size = sizeNext();
  const p = heap.malloc(size);
  if (p === 0) throw new Error(`no memory for ${size} bytes`);
  S.mark(heap.u32, p, size);
  put(slot, p);
}

function resize(slot: number): void {
  const p = take(slot);
  if (p === 0) return;
  const old = S.marked(heap.u32, p);
  const size = sizeNext();
  const q = heap.realloc(p, size);
  if (q === 0) throw new Error(`no memory for ${size} bytes`);
  if (heap.u32[q >>> 2] !== old) throw new Error(`realloc of ${p} lost its contents`);
  S.mark(heap.u32, q, size);
  put(slot, q);
}

function handOn(slot: number): void {
  const p = take(slot);
  const other = Atomics.exchange(words, S.WORD_EXCHANGE + random.below(S.EXCHANGE), p | 0) >>> 0;
  if (other === 0) return;
  S.marked(heap.u32, other);
  put(slot, other);
}

function dropAt(word: number): void {
  const p = take(word);
  if (p !== 0) drop(p);
}

function perform(what: "grab" | "handOn" | "resize" | "drop", slot: number): void {
  S.doing(words, task.table, what);
  if (what === "grab") grab(slot);
  else if (what === "handOn") handOn(slot);
  else if (what === "resize") resize(slot);
  else dropAt(slot);
}

function operate(): void {
  const slot = base + random.below(S.SLOTS);
  const dice = random.below(100);
  perform(dice < 45 ? "grab" : dice < 80 ? "handOn" : dice < 90 ? "resize" : "drop", slot);
  if (random.below(20000) !== 0) return;
  S.doing(words, task.table, "collect");
  heap.collect(random.chance(50));
}

function finish(): void {
  S.doing(words, task.table, "finish");
  for (let i = 0; i < S.SLOTS; i++) dropAt(base + i);
  heap.detach();
}

for (let i = 0; task.operations === 0 || i < task.operations; i++) {
  if (task.fault !== 0 && i === task.fault) throw new Error("a deliberate fault");
  operate();
  if ((i & 1023) !== 1023) continue;
  Atomics.add(words, S.WORD_DONE, 1024);
  if (Atomics.load(words, S.WORD_STOP) !== 0) break;
}
finish();
parentPort?.postMessage("done");
