/**
 * JSON text as a tree in the memory of the current region: a block for each value, linked as in a
 * parser in C. Strict: it refuses what JSON.parse refuses, and more than 1 000 levels. Escaped
 * halves of surrogate pairs, which UTF-8 cannot represent, become U+FFFD.
 */
import { type AllocatorBase, currentRegion } from "terrane/layers";

// A node, 32 bytes:
//   0      4      8       12    16         20            24
//   | kind | next | child | key | key size | text size   | number (f64), or address of the text |
export const NODE = 32;
export const NULL = 0;
export const FALSE = 1;
export const TRUE = 2;
export const NUMBER = 3;
export const TEXT = 4;
export const ARRAY = 5;
export const OBJECT = 6;

const [NEXT, CHILD, KEY, KEY_SIZE, TEXT_SIZE] = [1, 2, 3, 4, 5];
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DEPTH = 1000;

/**
 * Parses UTF-8 bytes; returns the address of the root.
 *
 * @throws SyntaxError with the offset of the mistake.
 */
export function jsonParse(text: Uint8Array, allocator: AllocatorBase = currentRegion()): number {
  return new Parser(text, allocator).document();
}

class Parser {
  #at = 0;
  #depth = 0;
  readonly #text: Uint8Array;
  readonly #allocator: AllocatorBase;

  constructor(text: Uint8Array, allocator: AllocatorBase) {
    this.#text = text;
    this.#allocator = allocator;
  }

  document(): number {
    const root = this.#value();
    this.#blanks();
    if (this.#at < this.#text.length) this.#fail("text after the value");
    return root;
  }

  #value(): number {
    this.#blanks();
    const byte = this.#text[this.#at];
    if (byte === QUOTE) return this.#textNode();
    if (byte === 0x7b) return this.#object();
    if (byte === 0x5b) return this.#array();
    if (byte === 0x74) return this.#word("true", TRUE);
    if (byte === 0x66) return this.#word("false", FALSE);
    if (byte === 0x6e) return this.#word("null", NULL);
    return this.#number();
  }

  #node(kind: number): number {
    const ptr = this.#allocator.malloc(NODE);
    if (ptr === 0) throw new Error("out of memory");
    const words = this.#allocator.u32;
    words.fill(0, ptr >>> 2, (ptr + NODE) >>> 2);
    words[ptr >>> 2] = kind;
    return ptr;
  }

  #set(ptr: number, field: number, value: number): void {
    this.#allocator.u32[(ptr >>> 2) + field] = value;
  }

  #word(word: string, kind: number): number {
    for (let i = 0; i < word.length; i++) {
      if (this.#text[this.#at + i] !== word.charCodeAt(i)) this.#fail(`expected ${word}`);
    }
    this.#at += word.length;
    return this.#node(kind);
  }

  #number(): number {
    const from = this.#at;
    if (this.#text[this.#at] === 0x2d) this.#at += 1;
    if (this.#text[this.#at] === 0x30) this.#at += 1;
    else this.#digits();
    if (this.#text[this.#at] === 0x2e) {
      this.#at += 1;
      this.#digits();
    }
    if (((this.#text[this.#at] ?? 0) | 0x20) === 0x65) {
      this.#at += 1;
      const sign = this.#text[this.#at];
      if (sign === 0x2b || sign === 0x2d) this.#at += 1;
      this.#digits();
    }
    const node = this.#node(NUMBER);
    const digits = decoder.decode(this.#text.subarray(from, this.#at));
    this.#allocator.f64[(node + 24) / 8] = Number(digits);
    return node;
  }

  #digits(): void {
    const from = this.#at;
    while (isDigit(this.#text[this.#at])) this.#at += 1;
    if (this.#at === from) this.#fail("expected a value or a digit");
  }

  #textNode(): number {
    const [ptr, size] = this.#string();
    const node = this.#node(TEXT);
    this.#set(node, TEXT_SIZE, size);
    this.#set(node, 6, ptr);
    return node;
  }

  /** A block with the bytes of a string, and their number. */
  #string(): [number, number] {
    const from = this.#at + 1;
    let at = from;
    let escaped = false;
    for (let byte = this.#text[at]; byte !== QUOTE; byte = this.#text[at]) {
      if (byte === undefined || byte < 0x20) {
        this.#at = at;
        this.#fail("unfinished string");
      }
      if (byte === BACKSLASH) {
        escaped = true;
        at += 1;
      }
      at += 1;
    }
    const raw = this.#text.subarray(from, at);
    const bytes = escaped ? this.#unescape(raw) : raw;
    this.#at = at + 1;
    return [this.#keep(bytes), bytes.length];
  }

  #keep(bytes: Uint8Array): number {
    const ptr = this.#allocator.malloc(bytes.length);
    if (ptr === 0) throw new Error("out of memory");
    this.#allocator.u8.set(bytes, ptr);
    return ptr;
  }

  #unescape(raw: Uint8Array): Uint8Array {
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(raw);
    const unescaped = text.replace(/\\(u[0-9a-fA-F]{4}|[\s\S]|$)/g, (_, code: string) => {
      if (code.length === 5) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
      return escapes[code] ?? this.#fail(`unknown escape \\${code}`);
    });
    return new TextEncoder().encode(unescaped);
  }

  #array(): number {
    const node = this.#open(ARRAY);
    let last = 0;
    while (!this.#closes(0x5d, last === 0)) last = this.#append(node, last, this.#value());
    this.#depth -= 1;
    return node;
  }

  #object(): number {
    const node = this.#open(OBJECT);
    let last = 0;
    while (!this.#closes(0x7d, last === 0)) last = this.#append(node, last, this.#member());
    this.#depth -= 1;
    return node;
  }

  #member(): number {
    this.#blanks();
    if (this.#text[this.#at] !== QUOTE) this.#fail("expected a key");
    const [key, size] = this.#string();
    this.#blanks();
    if (this.#text[this.#at] !== 0x3a) this.#fail("expected :");
    this.#at += 1;
    const node = this.#value();
    this.#set(node, KEY, key);
    this.#set(node, KEY_SIZE, size);
    return node;
  }

  #open(kind: number): number {
    this.#depth += 1;
    if (this.#depth > DEPTH) this.#fail(`more than ${DEPTH} levels`);
    this.#at += 1;
    return this.#node(kind);
  }

  #append(parent: number, last: number, node: number): number {
    if (last === 0) this.#set(parent, CHILD, node);
    else this.#set(last, NEXT, node);
    return node;
  }

  /** Whether the closing byte follows; else skips the comma, if this is not the first item. */
  #closes(byte: number, first: boolean): boolean {
    this.#blanks();
    const closed = this.#text[this.#at] === byte;
    if (!closed && first) return false;
    if (!closed && this.#text[this.#at] !== 0x2c) this.#fail("expected , or the end");
    this.#at += 1;
    return closed;
  }

  #blanks(): void {
    for (;;) {
      const byte = this.#text[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at += 1;
    }
  }

  #fail(what: string): never {
    throw new SyntaxError(`JSON: ${what} at byte ${this.#at}`);
  }
}

const escapes: Record<string, string> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Calls `visit` with each node of the tree, children before their parents. */
export function jsonWalk(
  root: number,
  allocator: AllocatorBase,
  visit: (node: number) => void,
): void {
  for (let node = allocator.u32[(root >>> 2) + CHILD] as number; node !== 0; ) {
    const next = allocator.u32[(node >>> 2) + NEXT] as number;
    jsonWalk(node, allocator, visit);
    node = next;
  }
  visit(root);
}

/** Frees a tree node by node, which a region makes unnecessary. */
export function jsonFree(root: number, allocator: AllocatorBase = currentRegion()): void {
  jsonWalk(root, allocator, (node) => {
    const words = allocator.u32;
    const at = node >>> 2;
    if (words[at] === TEXT) allocator.free(words[at + 6] as number);
    allocator.free(words[at + KEY] as number);
    allocator.free(node);
  });
}

/** The tree as JavaScript values. */
export function jsonValue(root: number, allocator: AllocatorBase = currentRegion()): unknown {
  const at = root >>> 2;
  const words = allocator.u32;
  const kind = words[at] as number;
  if (kind === NUMBER) return allocator.f64[(root + 24) / 8];
  if (kind === TEXT)
    return textAt(allocator, words[at + 6] as number, words[at + TEXT_SIZE] as number);
  if (kind < NUMBER) return kind === NULL ? null : kind === TRUE;
  const children: number[] = [];
  for (let node = words[at + CHILD] as number; node !== 0; ) {
    children.push(node);
    node = words[(node >>> 2) + NEXT] as number;
  }
  if (kind === ARRAY) return children.map((node) => jsonValue(node, allocator));
  const entries = children.map((node) => {
    const [key, size] = [words[(node >>> 2) + KEY], words[(node >>> 2) + KEY_SIZE]];
    return [textAt(allocator, key as number, size as number), jsonValue(node, allocator)] as const;
  });
  return Object.fromEntries(entries);
}

function textAt(allocator: AllocatorBase, ptr: number, size: number): string {
  return decoder.decode(allocator.u8.slice(ptr, ptr + size));
}
