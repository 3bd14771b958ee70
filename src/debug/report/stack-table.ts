/**
 * Call stacks as numbers. A stack is a path in a trie whose edges are call sites, so that the same
 * stack is the same number, and a million blocks from one place share a few nodes.
 *
 * No Error object is kept: one that is not read holds every receiver of its frames, so a leak
 * detector that kept them would leak. Reading `stack` at once lets go of them, and the sites go
 * with the call of prepareStackTrace.
 */

/** A place in a program, as the engine tells it: before source maps. */
export interface Frame {
  /** What is called, as stack reportStacks name it; empty at the top of a module. */
  readonly call: string;
  /** Where it stands: a url, or what the engine says for code that has none. */
  readonly url: string;
  /** From 1; 0 where there are no lines. */
  readonly line: number;
  /** From 1; 0 where there are no lines. */
  readonly column: number;
}

/** The function whose frame, and every one above it, is left out of a stack. */
export type Entry = (...args: never[]) => unknown;

/** Call stacks by number, as whoever reports needs them. */
export interface Stacks {
  /** The stack that called `entry`; 0 where there is none. */
  capture(entry: Entry): number;
  /** The frames of a stack, innermost first. */
  frames(id: number): Frame[];
  /** The thread that took a stack, where there can be several. */
  threadOf?(id: number): number | undefined;
  /** What they take. */
  readonly bytes: number;
}

interface Url {
  readonly index: number;
  /** A file of this package or of Node: its frames tell the user nothing. */
  readonly hidden: boolean;
  readonly frames: Map<number, Frame>;
}

const FIRST_NODES = 1024;
/** How V8 names modules of this package that stand in the way of calls. */
const OWN_WASM = "wasm://wasm/terrane-";

/**
 * A stack that may never be read. Until it is, it keeps the receivers of its frames alive: for
 * those who hold few of them.
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

/** Nodes of the trie in words, found by an open-addressed table of parent, file and position. */
export class StackTable implements Stacks {
  readonly #limit: number;
  readonly #reach: number;
  readonly #urls = new Map<string, Url>();
  #parents = new Uint32Array(FIRST_NODES);
  #urlOf = new Uint32Array(FIRST_NODES);
  #positions = new Int32Array(FIRST_NODES);
  /** The frame of each node; frames are shared by the nodes of a site. */
  readonly #frames: (Frame | undefined)[] = [undefined];
  #index = new Uint32Array(2 * FIRST_NODES);
  #prepare: NonNullable<typeof Error.prepareStackTrace>;
  /** Only ever one: defining `stack` on a new object costs an eighth of a capture. */
  readonly #holder: { stack?: number } = {};

  /**
   * @param limit The most frames that a stack keeps; 0 keeps none and costs nothing.
   * @param between Frames of this package that may lie between an entry and its caller.
   */
  constructor(limit: number, between = 0) {
    this.#limit = limit;
    this.#reach = limit + between;
    this.#prepare = (_, sites) => this.#intern(sites);
  }

  /** The stack that called `entry`, as a number; 0 where there is none. */
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

  /** As capture, at half the cost: the frames become a number when somebody asks for it. */
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

  /** The frames of a stack, innermost first. */
  frames(id: number): Frame[] {
    const found: Frame[] = [];
    for (let node = id; node !== 0; node = this.#parents[node] as number) {
      found.push(this.#frames[node] as Frame);
    }
    return found.reverse();
  }

  /** A node: its frame, and the node of the frame that is farther in. */
  node(id: number): { parent: number; frame: Frame } {
    return { parent: this.#parents[id] as number, frame: this.#frames[id] as Frame };
  }

  /** Bytes that all stacks together take, frames by estimate. */
  get bytes(): number {
    let sites = 0;
    for (const url of this.#urls.values()) sites += url.frames.size;
    return this.#parents.byteLength * 3 + this.#index.byteLength + sites * 120;
  }

  #intern(sites: NodeJS.CallSite[]): number {
    let node = 0;
    let left = this.#limit;
    for (const site of sites) {
      const url = this.#url(site.getScriptNameOrSourceURL() ?? siteName(site));
      if (url.hidden) continue;
      node = this.#child(node, url, site.getPosition(), site);
      if (--left === 0) break;
    }
    return node;
  }

  /**
   * For engines that have no call sites (SpiderMonkey, JavaScriptCore): a line of the text is a
   * site. Several times slower. The first lines are this package's, and go.
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

  #child(parent: number, url: Url, position: number, site: NodeJS.CallSite | undefined): number {
    const mask = this.#index.length - 1;
    let at = hash(parent, url.index, position) & mask;
    for (;;) {
      const node = this.#index[at] as number;
      if (node === 0) return this.#add(at, parent, url, position, site);
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
    site: NodeJS.CallSite | undefined,
  ): number {
    const node = this.#frames.length;
    if (node === this.#parents.length) this.#grow();
    this.#parents[node] = parent;
    this.#urlOf[node] = url.index;
    this.#positions[node] = position;
    this.#frames.push(frameOf(url, position, site, this.#urls));
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
  site: NodeJS.CallSite | undefined,
  urls: Map<string, Url>,
): Frame {
  const known = url.frames.get(position);
  if (known) return known;
  const frame = site ? siteFrame(site) : lineFrame([...urls.keys()][url.index] as string);
  url.frames.set(position, frame);
  return frame;
}

/** Natives and code from strings have no url; what they are called tells them apart. */
function siteName(site: NodeJS.CallSite): string {
  return site.getEvalOrigin() ?? `native ${site.getFunctionName()}`;
}

/** The text of a call site is `call (place)`, or the place alone. */
function siteFrame(site: NodeJS.CallSite): Frame {
  const text = String(site);
  const [call, place] = placeSplit(text);
  const url = site.getScriptNameOrSourceURL();
  // The place of a wasm frame has no line but the function's number and the offset in the module.
  if (!url || url.startsWith("wasm:")) return { call, url: place, line: 0, column: 0 };
  return { call, url, line: site.getLineNumber() ?? 0, column: site.getColumnNumber() ?? 0 };
}

function placeSplit(text: string): [string, string] {
  const open = text.lastIndexOf(" (");
  if (open < 0 || !text.endsWith(")")) return ["", text];
  return [text.slice(0, open), text.slice(open + 2, -1)];
}

/** `call@url:line:column` of other engines, or V8's `at call (url:line:column)`. */
function lineFrame(line: string): Frame {
  const place = /^at /.test(line) ? placeSplit(line.slice(3))[1] : line.replace(/^.*?@/, "");
  const found = /^(.*):(\d+):(\d+)$/.exec(place);
  const call = lineCall(line);
  if (!found) return { call, url: place, line: 0, column: 0 };
  return { call, url: found[1] as string, line: Number(found[2]), column: Number(found[3]) };
}

/** By file where this module is a file of its own, else by the name of the entry. */
function linesBelow(lines: readonly string[], entry: string): readonly string[] {
  const own = lines
    .map((line) => /[(@](.*\/)(?:lib\/debug|debug\/report\/stack-table)\.js:/.exec(line)?.[1])
    .find(Boolean);
  if (own) return lines.filter((line) => !line.includes(own) && /[@:]/.test(line));
  return lines.slice(lines.findIndex((line) => lineCall(line).split(".").at(-1) === entry) + 1);
}

function lineCall(line: string): string {
  if (/^at /.test(line)) return placeSplit(line.slice(3))[0];
  return line.includes("@") ? line.slice(0, line.indexOf("@")) : "";
}

/**
 * Where this package's files stand, from the place of this file (scripts/package.mjs): frames in
 * them are left out. Empty when a bundler has put them into the program's own file, where only
 * frames above the entry can be told; null when the engine has no call sites.
 */
const ownFolder = ownFolderFind();

function ownFolderFind(): string | null {
  if (typeof Error.captureStackTrace !== "function") return null;
  const { prepareStackTrace } = Error;
  Error.prepareStackTrace = (_, sites) => sites[0]?.getScriptNameOrSourceURL() ?? "";
  const url = new Error().stack as unknown;
  Error.prepareStackTrace = prepareStackTrace;
  if (typeof url !== "string" || url.includes("\n")) return null;
  return /^(.*\/)(?:lib\/debug|debug\/report\/stack-table)\.js$/.exec(url)?.[1] ?? "";
}
