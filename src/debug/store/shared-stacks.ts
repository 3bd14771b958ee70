/**
 * Call stacks of threads that share a heap. Each thread interns its own stacks, and writes new ones
 * as text into chunks of the shared state that only it writes to. So any thread can show a stack of
 * any other, also of one that has ended. A stack is the number of the node of its outermost frame:
 * parents lead from there to the innermost frame, and from that to the node of the thread.
 *
 *   chunk  | next chunk | bytes of text | words | its thread's node | stage | uses | text |
 *   text   a line of JSON for each node
 *          node of a call: [id, parent, call, url, line, column]     of a thread: [id, 0, thread]
 */
import { type Entry, type Frame, type Stacks, StackTable } from "../report/stack-table.ts";
import { SharedPage } from "./shared-page.ts";
import type { SharedState } from "./shared-state.ts";

type Line = [id: number, parent: number, call: string | number, url: string, ...at: number[]];

interface Node {
  readonly parent: number;
  /** Undefined for the thread itself. */
  readonly frame: Frame | undefined;
  readonly thread: number | undefined;
}

/** Words of the first chunk of a thread, and of later ones. */
const FIRST_WORDS = 512;
const CHUNK_WORDS = 4096;
const USED = 1;
const WORDS = 2;
const OWNER = 3;
const STAGE = 4;
/** How often the chunk has begun anew: what was read of it before does not count then. */
const USES = 5;
const TEXT = 6;

/** Chunks of ended threads that are worth a look at all records. */
const RECYCLED_TOGETHER = 256;

/** Stages of a chunk: its thread writes to it; its thread has ended; any thread may take it. */
const OPEN = 0;
const ENDED = 1;
const FREE = 2;

export class SharedStacks implements Stacks {
  readonly #state: SharedState;
  readonly #own: StackTable;
  /** The shared numbers of this thread's nodes, by their own numbers. */
  readonly #published: number[] = [];
  readonly #root: number;
  #chunk = 0;
  /** Bytes of the chunk that are left. */
  #left = 0;
  /** The nodes that were read, of all threads. */
  readonly #nodes = new Map<number, Node>();
  /** Of each chunk the use, and the bytes that were read. */
  readonly #read = new Map<number, { readonly uses: number; readonly bytes: number }>();
  /** Chunks that this thread writes to. */
  #chunks: number[] = [];

  /** @param thread The number of this thread in reports. */
  constructor(state: SharedState, limit: number, thread: number) {
    this.#state = state;
    this.#own = new StackTable(limit);
    this.#root = state.node();
    this.#write([this.#root, 0, thread, ""]);
    this.#published[0] = this.#root;
  }

  capture(entry: Entry): number {
    return this.#publish(this.#own.capture(entry));
  }

  /** The frames of a stack, innermost first; none if there was no space for its text. */
  frames(id: number): Frame[] {
    const frames: Frame[] = [];
    for (const { frame } of this.#path(id)) if (frame) frames.push(frame);
    return frames;
  }

  /** The thread that took a stack. */
  threadOf(id: number): number | undefined {
    return this.#path(id).at(-1)?.thread;
  }

  get bytes(): number {
    return this.#own.bytes + 8 * this.#published.length;
  }

  #publish(node: number): number {
    const known = this.#published[node];
    if (known !== undefined) return known;
    const { parent, frame } = this.#own.node(node);
    const { call, url, line, column } = frame;
    const from = this.#publish(parent);
    const id = this.#state.node();
    this.#write([id, from, call, url, line, column]);
    this.#published[node] = id;
    return id;
  }

  /** The nodes of a stack, innermost first, with the thread at the end. */
  #path(id: number): Node[] {
    const path: Node[] = [];
    for (let at = id; at !== 0; ) {
      const node = this.#node(at);
      if (!node) break;
      path.push(node);
      at = node.parent;
    }
    const thread = path.at(-1)?.frame ? undefined : path.pop();
    path.reverse();
    return thread ? [...path, thread] : path;
  }

  #node(id: number): Node | undefined {
    if (!this.#nodes.has(id)) this.#readAll();
    return this.#nodes.get(id);
  }

  #readAll(): void {
    for (const chunk of this.#state.chunks()) {
      const uses = this.#state.get(chunk + USES);
      const known = this.#read.get(chunk);
      const from = known?.uses === uses ? known.bytes : 0;
      const to = this.#state.get(chunk + USED);
      if (to === from) continue;
      const lines = linesIn(this.#state, chunk, from, to);
      // Another thread may have begun the chunk anew meanwhile.
      if (this.#state.get(chunk + USES) !== uses) continue;
      for (const line of lines) this.#add(line);
      this.#read.set(chunk, { uses, bytes: to });
    }
  }

  #add([id, parent, what, url, line = 0, column = 0]: Line): void {
    const frame = typeof what === "string" ? { call: what, url, line, column } : undefined;
    const thread = typeof what === "number" ? what : undefined;
    this.#nodes.set(id, { parent, frame, thread });
  }

  /** Other threads read a line only once the count of bytes includes it. */
  #write(line: Line): void {
    const text = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
    if (text.length > this.#left && !this.#newChunk(text.length)) return;
    const { words } = this.#state;
    const used = Atomics.load(words, this.#chunk + USED);
    new Uint8Array(words.buffer).set(text, (this.#chunk + TEXT) * 4 + used);
    Atomics.store(words, this.#chunk + USED, used + text.length);
    this.#left -= text.length;
  }

  /** The thread has ended: chunks that nothing refers to can be used again. */
  leave(): void {
    for (const chunk of this.#chunks) this.#state.set(chunk + STAGE, ENDED);
    this.#chunks = [];
    this.#left = 0;
  }

  #newChunk(bytes: number): boolean {
    const words = this.#chunks.length === 0 ? FIRST_WORDS : CHUNK_WORDS;
    const chunk = this.#chunkOf(Math.max(words, TEXT + Math.ceil(bytes / 4)));
    if (chunk === 0) return false;
    this.#chunks.push(chunk);
    this.#chunk = chunk;
    this.#left = (this.#state.get(chunk + WORDS) - TEXT) * 4;
    return true;
  }

  /** A chunk of at least so many words, empty and of this thread; 0 if there is no space. */
  #chunkOf(words: number): number {
    const state = this.#state;
    const old = this.#takeFree(words);
    if (old !== 0) return old;
    const isFull = 2 * state.touched > state.buffer.byteLength;
    if (recycle(state, isFull ? 1 : RECYCLED_TOGETHER)) {
      const again = this.#takeFree(words);
      if (again !== 0) return again;
    }
    const chunk = state.take(words);
    if (chunk === 0) return 0;
    state.set(chunk + WORDS, words);
    state.set(chunk + OWNER, this.#root);
    state.addChunk(chunk);
    return chunk;
  }

  #takeFree(words: number): number {
    const state = this.#state;
    for (const chunk of state.chunks()) {
      if (state.get(chunk + STAGE) !== FREE || state.get(chunk + WORDS) < words) continue;
      if (Atomics.compareExchange(state.words, chunk + STAGE, FREE, OPEN) !== FREE) continue;
      state.set(chunk + USED, 0);
      state.add(chunk + USES, 1);
      state.set(chunk + OWNER, this.#root);
      return chunk;
    }
    return 0;
  }
}

/** What a chunk says from one byte to another. */
function linesIn(state: SharedState, chunk: number, from: number, to: number): Line[] {
  const start = (chunk + TEXT) * 4;
  const bytes = new Uint8Array(state.words.buffer, start + from, Math.max(0, to - from)).slice();
  const lines = new TextDecoder().decode(bytes).split("\n");
  return lines.flatMap((line) => lineOf(line) ?? []);
}

/** Undefined for a line that is half overwritten. */
function lineOf(text: string): [Line] | undefined {
  try {
    return text === "" ? undefined : [JSON.parse(text) as Line];
  } catch {
    return undefined;
  }
}

/**
 * Frees the chunks of those ended threads whose stacks no record refers to; returns whether there
 * were any. Reads all records and all chunks of ended threads, if there are `least` of them.
 */
function recycle(state: SharedState, least: number): boolean {
  const ended = [...state.chunks()].filter((chunk) => state.get(chunk + STAGE) === ENDED);
  if (ended.length < least) return false;
  const referred = new Set<number>();
  for (const at of state.pages()) {
    const page = new SharedPage(state, at);
    if (page.thread !== 0) page.stacksAdd(referred); // else the record is free
  }
  const needed = new Set<number>();
  for (const chunk of ended) {
    const lines = linesIn(state, chunk, 0, state.get(chunk + USED));
    if (lines.some(([id]) => referred.has(id))) needed.add(state.get(chunk + OWNER));
  }
  const free = ended.filter((chunk) => !needed.has(state.get(chunk + OWNER)));
  for (const chunk of free) Atomics.compareExchange(state.words, chunk + STAGE, ENDED, FREE);
  return free.length > 0;
}
