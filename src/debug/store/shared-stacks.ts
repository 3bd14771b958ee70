/**
 * Call stacks of threads that share a heap. Each thread interns its own stacks, and writes new ones
 * as text into chunks of the shared state that only it writes to. So any thread can show a stack of
 * any other, also of one that has ended. A stack is the number of the node of its outermost frame:
 * parents lead from there to the innermost frame, and from that to the node of the thread.
 *
 *   chunk  | next chunk | bytes of text | text: a line of JSON for each node |
 *          node of a call: [id, parent, call, url, line, column]     of a thread: [id, 0, thread]
 */
import { type Entry, type Frame, type Stacks, StackTable } from "../report/stack-table.ts";
import type { SharedState } from "./shared-state.ts";

type Line = [id: number, parent: number, call: string | number, url: string, ...at: number[]];

interface Node {
  readonly parent: number;
  /** Undefined for the thread itself. */
  readonly frame: Frame | undefined;
  readonly thread: number | undefined;
}

const CHUNK_WORDS = 4096;
const USED = 1;
const TEXT = 2;

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
  /** Bytes of each chunk that were read. */
  readonly #read = new Map<number, number>();

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
    const { words } = this.#state;
    for (const chunk of this.#state.chunks()) {
      const from = this.#read.get(chunk) ?? 0;
      const to = Atomics.load(words, chunk + USED);
      if (to === from) continue;
      const bytes = new Uint8Array(words.buffer, (chunk + TEXT) * 4 + from, to - from).slice();
      for (const line of new TextDecoder().decode(bytes).trimEnd().split("\n")) {
        this.#add(JSON.parse(line) as Line);
      }
      this.#read.set(chunk, to);
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

  #newChunk(bytes: number): boolean {
    const count = Math.max(CHUNK_WORDS, TEXT + Math.ceil(bytes / 4));
    const chunk = this.#state.take(count);
    if (chunk === 0) return false;
    this.#state.addChunk(chunk);
    this.#chunk = chunk;
    this.#left = (count - TEXT) * 4;
    return true;
  }
}
