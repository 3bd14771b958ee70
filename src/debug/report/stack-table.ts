/**
 * Call stacks as numbers. A stack is a path in a trie whose edges are call sites, so that the same
 * stack is the same number, and a million blocks with the same stack share a few nodes.
 *
 * No Error object is kept: until its `stack` is read, it holds every receiver of its frames, so a
 * leak detector that kept Errors would leak. `stack` is read at once, and the call sites are gone
 * when prepareStackTrace returns.
 */

/** A call site as the engine reports it, before source maps. */
export interface Frame {
  /** The function, as stack traces name it; empty at the top level of a module. */
  readonly call: string;
  /** A URL, or what the engine reports for code that has none. */
  readonly url: string;
  /** From 1; 0 where there are no lines. */
  readonly line: number;
  /** From 1; 0 where there are no lines. */
  readonly column: number;
}

/** The function whose frame, and every frame inside it, is left out of a stack. */
export type Entry = (...args: never[]) => unknown;

/** Call stacks by number, as reports need them. */
export interface Stacks {
  /** Returns the stack that called `entry`, or 0 where there is none. */
  capture(entry: Entry): number;
  /** The frames of a stack, innermost first. */
  frames(id: number): Frame[];
  /** The thread that took a stack, where there can be several. */
  threadOf?(id: number): number | undefined;
  /** Ends the use by this thread, where there can be several. */
  leave?(): void;
  /** Bytes of all stacks. */
  readonly bytes: number;
}

interface Url {
  readonly index: number;
  /** A file of this package or of Node: its frames are of no use to the user. */
  readonly hidden: boolean;
  readonly frames: Map<number, Frame>;
}

const FIRST_NODES = 1024;
/** How V8 names the wasm modules of this package that calls go through. */
const OWN_WASM = "wasm://wasm/terrane-";

/**
 * A stack that becomes a number only when it is read. Until then it keeps the receivers of its
 * frames alive, so it is for callers that hold few of them.
 */
export class LazyStack {
  #id: number | (() => number);

  constructor(id: number | (() => number)) {
    this.#id = id;
  }

  get id(): number {
    if (typeof this.#id !== "number") this.#id = this.#id();
    return this.#id;
  }
}

/** The trie: nodes in arrays of words, in a hash table by parent, file and position. */
export class StackTable implements Stacks {
  readonly #limit: number;
  readonly #reach: number;
  readonly #urls = new Map<string, Url>();
  #parents = new Uint32Array(FIRST_NODES);
  #urlOf = new Uint32Array(FIRST_NODES);
  #positions = new Int32Array(FIRST_NODES);
  /** The frame of each node. All nodes of a call site share one. */
  readonly #frames: (Frame | undefined)[] = [undefined];
  #index = new Uint32Array(2 * FIRST_NODES);
  #prepare: NonNullable<typeof Error.prepareStackTrace>;
  /** One for all captures: to define `stack` on a new object costs an eighth of a capture. */
  readonly #holder: { stack?: number } = {};

  /**
   * @param limit The most frames that a stack keeps; 0 keeps none and costs nothing.
   * @param between The most frames of this package between an entry and its caller.
   */
  constructor(limit: number, between = 0) {
    this.#limit = limit;
    this.#reach = limit + between;
    this.#prepare = (_, callSites) => this.#intern(callSites);
  }

  capture(entry: Entry): number {
    if (this.#limit === 0) return 0;
    if (ownFolder === null) return this.internText(new Error().stack ?? "", entry.name);
    const { stackTraceLimit, prepareStackTrace } = Error;
    Error.stackTraceLimit = this.#reach;
    Error.prepareStackTrace = this.#prepare;
    Error.captureStackTrace(this.#holder, entry);
    const id = this.#holder.stack as number;
    Error.stackTraceLimit = stackTraceLimit;
    Error.prepareStackTrace = prepareStackTrace;
    return id;
  }

  /** capture at half the cost: the frames become a number only when the stack is read. */
  take(entry: Entry): LazyStack {
    if (this.#limit === 0 || ownFolder === null) return new LazyStack(this.capture(entry));
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = this.#reach;
    const holder: { stack?: number } = {};
    Error.captureStackTrace(holder, entry);
    Error.stackTraceLimit = stackTraceLimit;
    return new LazyStack(() => this.#read(holder));
  }

  #read(holder: { stack?: number }): number {
    const { prepareStackTrace } = Error;
    Error.prepareStackTrace = this.#prepare;
    const id = holder.stack as number;
    Error.prepareStackTrace = prepareStackTrace;
    return id;
  }

  frames(id: number): Frame[] {
    const found: Frame[] = [];
    for (let node = id; node !== 0; node = this.#parents[node] as number) {
      found.push(this.#frames[node] as Frame);
    }
    return found.reverse();
  }

  /** A node: its frame, and the node of the next frame inwards. */
  node(id: number): { parent: number; frame: Frame } {
    return { parent: this.#parents[id] as number, frame: this.#frames[id] as Frame };
  }

  /** Frames by estimate. */
  get bytes(): number {
    let frames = 0;
    for (const url of this.#urls.values()) frames += url.frames.size;
    return this.#parents.byteLength * 3 + this.#index.byteLength + frames * 120;
  }

  #intern(callSites: NodeJS.CallSite[]): number {
    let node = 0;
    let left = this.#limit;
    for (const callSite of callSites) {
      const url = this.#url(callSite.getScriptNameOrSourceURL() ?? nameWithoutUrl(callSite));
      if (url.hidden) continue;
      node = this.#child(node, url, positionOf(callSite), callSite);
      if (--left === 0) break;
    }
    return node;
  }

  /**
   * For engines without call sites (SpiderMonkey, JavaScriptCore): each line of the text is a
   * frame. Several times slower. The first lines are this package's, and are left out.
   */
  internText(text: string, entry: string): number {
    const lines = text.split("\n").map((line) => line.trim());
    let node = 0;
    for (const line of linesBelow(lines, entry).slice(0, this.#limit)) {
      if (line !== "") node = this.#child(node, this.#url(line), 0, undefined);
    }
    return node;
  }

  #url(name: string): Url {
    return this.#urls.get(name) ?? this.#urlAdd(name);
  }

  #urlAdd(name: string): Url {
    const own = (!!ownFolder && name.startsWith(ownFolder)) || name.startsWith(OWN_WASM);
    const hidden = name.startsWith("node:") || own;
    const url: Url = { index: this.#urls.size, hidden, frames: new Map() };
    this.#urls.set(name, url);
    return url;
  }

  #child(
    parent: number,
    url: Url,
    position: number,
    callSite: NodeJS.CallSite | undefined,
  ): number {
    const mask = this.#index.length - 1;
    let at = hash(parent, url.index, position) & mask;
    for (;;) {
      const node = this.#index[at] as number;
      if (node === 0) return this.#add(at, parent, url, position, callSite);
      if (
        this.#parents[node] === parent &&
        this.#positions[node] === position &&
        this.#urlOf[node] === url.index
      ) {
        return node;
      }
      at = (at + 1) & mask;
    }
  }

  #add(
    at: number,
    parent: number,
    url: Url,
    position: number,
    callSite: NodeJS.CallSite | undefined,
  ): number {
    const node = this.#frames.length;
    if (node === this.#parents.length) this.#grow();
    this.#parents[node] = parent;
    this.#urlOf[node] = url.index;
    this.#positions[node] = position;
    this.#frames.push(frameOf(url, position, callSite, this.#urls));
    if (this.#index.length === 2 * this.#parents.length) this.#index[at] = node;
    else this.#reindex();
    return node;
  }

  #grow(): void {
    const twice = <T extends Uint32Array | Int32Array>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    const nodes = this.#parents.length * 2;
    this.#parents = twice(new Uint32Array(nodes), this.#parents);
    this.#urlOf = twice(new Uint32Array(nodes), this.#urlOf);
    this.#positions = twice(new Int32Array(nodes), this.#positions);
  }

  /** At most half full, so that a search is short. */
  #reindex(): void {
    this.#index = new Uint32Array(2 * this.#parents.length);
    const mask = this.#index.length - 1;
    for (let node = 1; node < this.#frames.length; node++) {
      const parent = this.#parents[node] as number;
      let at = hash(parent, this.#urlOf[node] as number, this.#positions[node] as number) & mask;
      while (this.#index[at] !== 0) at = (at + 1) & mask;
      this.#index[at] = node;
    }
  }
}

function hash(parent: number, url: number, position: number): number {
  let h =
    Math.imul(parent, 0x9e3779b1) ^ Math.imul(position, 0x85ebca6b) ^ Math.imul(url, 0x27d4eb2f);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return h ^ (h >>> 12);
}

function frameOf(
  url: Url,
  position: number,
  callSite: NodeJS.CallSite | undefined,
  urls: Map<string, Url>,
): Frame {
  const known = url.frames.get(position);
  if (known) return known;
  const frame = callSite
    ? callSiteFrame(callSite)
    : lineFrame([...urls.keys()][url.index] as string);
  url.frames.set(position, frame);
  return frame;
}

/** A number for the place in the file. Bun has no getPosition. */
function positionOf(callSite: NodeJS.CallSite): number {
  if (typeof callSite.getPosition === "function") return callSite.getPosition();
  return ((callSite.getLineNumber() ?? 0) * 4096 + (callSite.getColumnNumber() ?? 0)) | 0;
}

/** Native functions and code from strings have no URL; their names tell them apart. */
function nameWithoutUrl(callSite: NodeJS.CallSite): string {
  return callSite.getEvalOrigin() ?? `native ${callSite.getFunctionName()}`;
}

/** The text of a call site is `call (position)`, or the position alone. */
function callSiteFrame(callSite: NodeJS.CallSite): Frame {
  const [call, position] = splitText(String(callSite));
  const url = callSite.getScriptNameOrSourceURL();
  // The position of a wasm frame is the function's number and the offset in the module.
  if (!url || url.startsWith("wasm:")) return { call, url: position, line: 0, column: 0 };
  return {
    call,
    url,
    line: callSite.getLineNumber() ?? 0,
    column: callSite.getColumnNumber() ?? 0,
  };
}

function splitText(text: string): [string, string] {
  const open = text.lastIndexOf(" (");
  if (open < 0 || !text.endsWith(")")) return ["", text];
  return [text.slice(0, open), text.slice(open + 2, -1)];
}

/** `call@url:line:column` of other engines, or `at call (url:line:column)` of V8. */
function lineFrame(line: string): Frame {
  const position = /^at /.test(line) ? splitText(line.slice(3))[1] : line.replace(/^.*?@/, "");
  const found = /^(.*):(\d+):(\d+)$/.exec(position);
  const call = lineCall(line);
  if (!found) return { call, url: position, line: 0, column: 0 };
  return { call, url: found[1] as string, line: Number(found[2]), column: Number(found[3]) };
}

/**
 * The lines outside this package: by file, or by the name of the entry where a bundler has put this
 * package into the program's own file.
 */
function linesBelow(lines: readonly string[], entry: string): readonly string[] {
  const own = lines
    .map((line) => /[(@](.*\/)(?:lib\/debug|debug\/report\/stack-table)\.js:/.exec(line)?.[1])
    .find(Boolean);
  if (own) return lines.filter((line) => !line.includes(own) && /[@:]/.test(line));
  return lines.slice(lines.findIndex((line) => lineCall(line).split(".").at(-1) === entry) + 1);
}

function lineCall(line: string): string {
  if (/^at /.test(line)) return splitText(line.slice(3))[0];
  return line.includes("@") ? line.slice(0, line.indexOf("@")) : "";
}

/**
 * The folder of this package's files, found from the path of this file (scripts/package.mjs):
 * frames in them are left out. Empty when a bundler has put them into the program's own file, where
 * only frames inside the entry can be left out; null when the engine has no call sites.
 */
const ownFolder = findOwnFolder();

function findOwnFolder(): string | null {
  if (typeof Error.captureStackTrace !== "function") return null;
  const { prepareStackTrace } = Error;
  Error.prepareStackTrace = (_, callSites) => callSites[0]?.getScriptNameOrSourceURL() ?? "";
  const url = new Error().stack as unknown;
  Error.prepareStackTrace = prepareStackTrace;
  if (typeof url !== "string" || url.includes("\n")) return null;
  return /^(.*\/)(?:lib\/debug|debug\/report\/stack-table)\.js$/.exec(url)?.[1] ?? "";
}
