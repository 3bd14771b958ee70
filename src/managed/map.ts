/** Hash maps in the memory of a region. */
import { outOfMemory } from "../common/errors.ts";
import { type AllocatorBase, currentRegion } from "../layers/index.ts";
import { bytesHash, numberHash } from "./hash.ts";

// A slot, 24 bytes:
//   0      4        8      16
//   | hash | length | key  | value |
// The hash of an empty slot is 0. A key is a number, or the address and length of UTF-8 bytes.
const SLOT = 24;
const LEAST = 8;

/**
 * A map from numbers or texts to numbers, pointers for example. Its memory comes from one
 * allocator, by default the region that was current when the map was made, and ends with that
 * region. Numbers are compared as by Map: NaN is a key, and 0 and -0 are one key. Do not use it for
 * keys from untrusted input, which can be chosen so that their hashes collide.
 *
 * Open addressing with linear probing; `delete` moves the entries that follow, so that no mark of
 * a deleted entry is needed.
 *
 * @example
 * const ages = new HashMap("text");
 * ages.set("Ada", 36);
 * ages.get("Ada"); // 36
 */
export class HashMap<K extends "number" | "text"> implements Disposable {
  /** The type of the keys. */
  readonly keys: K;
  readonly #given: AllocatorBase;
  /** What the table belongs to: its region, where that is another one at each call. */
  #home: AllocatorBase;
  #table = 0;
  #slots = 0;
  #size = 0;

  /**
   * @param keys the type of the keys.
   * @param allocator where the memory comes from. Default: the current region.
   * @throws TypeError unless keys is "number" or "text".
   */
  constructor(keys: K, allocator: AllocatorBase = currentRegion()) {
    if (keys !== "number" && keys !== "text") {
      throw new TypeError(`HashMap: keys must be "number" or "text", not ${String(keys)}`);
    }
    this.keys = keys;
    this.#given = allocator;
    this.#home = allocator;
  }

  /** Number of entries. */
  get size(): number {
    return this.#size;
  }

  /**
   * The value of a key; undefined = the key is not in the map.
   *
   * @throws TypeError for a key of another type.
   */
  get(key: KeyOf<K>): number | undefined {
    const slot = this.#find(this.#keyOf(key));
    return slot === 0 ? undefined : (this.#home.f64[(slot + 16) / 8] as number);
  }

  /**
   * Whether a key is in the map.
   *
   * @throws TypeError for a key of another type.
   */
  has(key: KeyOf<K>): boolean {
    return this.#find(this.#keyOf(key)) !== 0;
  }

  /**
   * Sets the value of a key, and adds the key if it is new; returns the map.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY, and the map is as it was then; TypeError for a key of
   * another type.
   */
  set(key: KeyOf<K>, value: number): this {
    const wanted = this.#keyOf(key);
    let slot = this.#find(wanted);
    if (slot === 0) slot = this.#add(wanted);
    this.#home.f64[(slot + 16) / 8] = value;
    return this;
  }

  /**
   * Removes a key; returns whether it was in the map.
   *
   * @throws TypeError for a key of another type.
   */
  delete(key: KeyOf<K>): boolean {
    const slot = this.#find(this.#keyOf(key));
    if (slot === 0) return false;
    if (this.keys === "text") this.#home.free(this.#textAt(slot));
    this.#size -= 1;
    this.#close((slot - this.#table) / SLOT);
    return true;
  }

  /** Keys and values in any order. The map must not change during the iteration. */
  *[Symbol.iterator](): Generator<[KeyOf<K>, number]> {
    for (let index = 0; index < this.#slots; index++) {
      const slot = this.#table + index * SLOT;
      if (this.#hashAt(slot) === 0) continue;
      yield [this.#keyAt(slot), this.#home.f64[(slot + 16) / 8] as number];
    }
  }

  /** Gives the memory back. The map is empty then, and can be used again. */
  free(): void {
    if (this.#table !== 0) void this.#home.buffer; // throws when the region has ended
    for (let index = 0; this.keys === "text" && index < this.#slots; index++) {
      const slot = this.#table + index * SLOT;
      if (this.#hashAt(slot) !== 0) this.#home.free(this.#textAt(slot));
    }
    this.#home.free(this.#table);
    this.#table = 0;
    this.#slots = 0;
    this.#size = 0;
    this.#home = this.#given;
  }

  /** `free`, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }

  #keyOf(key: KeyOf<K>): Key {
    const type = this.keys === "text" ? "string" : "number";
    if (typeof key !== type) throw new TypeError(`HashMap: key must be a ${type}`);
    if (typeof key === "string") {
      const bytes = new TextEncoder().encode(key);
      return { hash: bytesHash(bytes), number: 0, bytes };
    }
    const number = (key as number) + 0; // -0 becomes 0
    return { hash: numberHash(number), number, bytes: undefined };
  }

  #hashAt(slot: number): number {
    return this.#home.u32[slot >>> 2] as number;
  }

  #textAt(slot: number): number {
    return this.#home.f64[(slot + 8) / 8] as number;
  }

  #keyAt(slot: number): KeyOf<K> {
    const number = this.#home.f64[(slot + 8) / 8] as number;
    if (this.keys === "number") return number as KeyOf<K>;
    return this.#home.readString(number, this.#home.u32[(slot >>> 2) + 1] as number) as KeyOf<K>;
  }

  /** Address of the slot of a key, or 0. */
  #find(key: Key): number {
    for (let index = key.hash % Math.max(this.#slots, 1), left = this.#slots; left > 0; left--) {
      const slot = this.#table + index * SLOT;
      const hash = this.#hashAt(slot);
      if (hash === 0) return 0;
      if (hash === key.hash && this.#isKey(slot, key)) return slot;
      index = index + 1 === this.#slots ? 0 : index + 1;
    }
    return 0;
  }

  #isKey(slot: number, { number, bytes }: Key): boolean {
    if (!bytes) return Object.is(this.#home.f64[(slot + 8) / 8], number);
    if (this.#home.u32[(slot >>> 2) + 1] !== bytes.length) return false;
    const ptr = this.#textAt(slot);
    const memory = this.#home.u8;
    return bytes.every((byte, i) => memory[ptr + i] === byte);
  }

  /** A slot for a key that is not in the map, with the key in it. */
  #add(key: Key): number {
    if (4 * (this.#size + 1) > 3 * this.#slots) this.#grow();
    const text = key.bytes ? this.#textNew(key.bytes) : key.number;
    const slot = this.#slotFor(this.#table, this.#slots, key.hash);
    this.#home.u32[slot >>> 2] = key.hash;
    this.#home.u32[(slot >>> 2) + 1] = key.bytes?.length ?? 0;
    this.#home.f64[(slot + 8) / 8] = text;
    this.#size += 1;
    return slot;
  }

  #textNew(bytes: Uint8Array): number {
    const ptr = this.#home.malloc(bytes.length);
    if (ptr === 0) throw outOfMemory("HashMap", bytes.length);
    this.#home.u8.set(bytes, ptr);
    return ptr;
  }

  #slotFor(table: number, slots: number, hash: number): number {
    let index = hash % slots;
    while (this.#hashAt(table + index * SLOT) !== 0) index = index + 1 === slots ? 0 : index + 1;
    return table + index * SLOT;
  }

  #grow(): void {
    const slots = Math.max(LEAST, 2 * this.#slots);
    const table = this.#home.calloc(slots, SLOT);
    if (table === 0) throw outOfMemory("HashMap", slots * SLOT);
    this.#home = this.#home.homeOf(table);
    for (let index = 0; index < this.#slots; index++) {
      const from = this.#table + index * SLOT;
      const hash = this.#hashAt(from);
      if (hash === 0) continue;
      this.#home.u8.copyWithin(this.#slotFor(table, slots, hash), from, from + SLOT);
    }
    this.#home.free(this.#table);
    this.#table = table;
    this.#slots = slots;
  }

  /** Moves entries after an empty slot into it, where a search would no longer find them. */
  #close(hole: number): void {
    for (let index = (hole + 1) % this.#slots; ; index = (index + 1) % this.#slots) {
      const hash = this.#hashAt(this.#table + index * SLOT);
      if (hash === 0) break;
      const wanted = hash % this.#slots;
      const away = (index - wanted + this.#slots) % this.#slots;
      if (away < (index - hole + this.#slots) % this.#slots) continue;
      const from = this.#table + index * SLOT;
      this.#home.u8.copyWithin(this.#table + hole * SLOT, from, from + SLOT);
      hole = index;
    }
    this.#home.u32[(this.#table + hole * SLOT) >>> 2] = 0;
  }
}

/** The type of a key of a map with `K` keys. */
export type KeyOf<K> = K extends "text" ? string : number;

interface Key {
  readonly hash: number;
  readonly number: number;
  readonly bytes: Uint8Array | undefined;
}
