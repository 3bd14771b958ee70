/**
 * Blocks with checked headers over the size classes: what all calls of the hardened malloc stand
 * on. Every mistake throws before anything has changed.
 *
 *   begin                                  ptr            ptr + size
 *   +------------------+---------+--------+--------------+----------------+
 *   | mark, or nothing |  gap    | header |    block     | rest of chunk  |
 *   +------------------+---------+--------+--------------+----------------+
 */
import { SIZE_LIMIT } from "../../common/errors.ts";
import type { SizeClassHeap } from "../heap/linear.ts";
import { SharedSizeClassHeap } from "../heap/shared.ts";
import { ALLOCATED, AVAILABLE, HEADER_BYTES, type Header, Headers, QUARANTINED } from "./chunk.ts";
import type { HardenedFlags, HardenedHooks } from "./flags.ts";
import { type BlockHistory, History, stacksAdd } from "./history.ts";
import { Quarantine } from "./quarantine.ts";
import {
  type Action,
  alignmentMismatch,
  alignmentNotPower,
  allocatorDisabled,
  type HardenedError,
  invalidState,
  misalignedPointer,
  type Origin,
  outOfMemoryFor,
  sizeMismatch,
  sizeTooBig,
  typeMismatch,
} from "./reports.ts";

export interface HardenedParts {
  readonly heap: SizeClassHeap;
  readonly flags: HardenedFlags;
  readonly hooks: HardenedHooks;
  /** The secret in the checksums of headers. */
  readonly cookie: number;
  /** Address of the quarantine's list. */
  readonly list: number;
}

/** What new blocks are filled with: nothing, zeros, or 0xab. */
export type FillContents = "none" | "zero" | "pattern";

/** What is known about an address in or near a block. */
export interface ErrorInfo {
  /** What an access to the address is; "unknown" inside a live block. */
  readonly type: "use after free" | "buffer overflow" | "buffer underflow" | "unknown";
  /** Address of the block. */
  readonly ptr: number;
  /** Bytes of its request. */
  readonly size: number;
  /** What was done with the block last. */
  readonly state: "allocated" | "quarantined" | "free";
  /** Stack of its allocation; undefined if this thread did not track it. */
  readonly allocatedAt: string | undefined;
  /** Stack of its free; undefined if it is live, or this thread did not track it. */
  readonly freedAt: string | undefined;
}

/** What the caller of a free passes besides the pointer. */
export interface FreeClaims {
  readonly size?: number | undefined;
  readonly alignment?: number | undefined;
}

export const MALLOC = 0;
export const NEW = 1;
export const NEW_ARRAY = 2;
export const MEMALIGN = 3;

const PATTERN = 0xab;
const RING = 32768;
const states = ["unused", "free", "allocated", "quarantined"] as const;

export function isPower(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

export class HardenedBlocks {
  readonly heap: SizeClassHeap;
  readonly flags: HardenedFlags;
  readonly quarantine: Quarantine;
  fill: FillContents;
  readonly #hooks: HardenedHooks;
  readonly #list: number;
  readonly #headers: Headers;
  #history: History | undefined;
  #tracks = false;
  #disabled = false;

  constructor({ heap, flags, hooks, cookie, list }: HardenedParts) {
    const words = () => heap.u32;
    this.heap = heap;
    this.flags = flags;
    this.#hooks = hooks;
    this.#list = list;
    this.#headers = new Headers(words, cookie);
    this.fill = flags.zeroContents ? "zero" : flags.patternFillContents ? "pattern" : "none";
    this.quarantine = new Quarantine({
      words,
      list,
      bytes: (flags.quarantineSizeKb ?? 0) * 1024,
      threadBytes: (flags.threadLocalQuarantineSizeKb ?? 0) * 1024,
      threadId: heap instanceof SharedSizeClassHeap ? heap.threadId : 1,
      recycle: (ptr) => this.#recycle(ptr),
    });
  }

  /** Allocates a block; where that fails, refuses. */
  allocate(size: number, alignment: number, origin: Origin, zeroed = false): number {
    const ptr = this.#make(size, alignment, origin, zeroed);
    if (ptr === 0) return this.refuse(this.#noMemory(size, alignment));
    this.#onAllocate(ptr, size);
    return ptr;
  }

  /** The same for the calls that take an alignment. */
  allocateAligned(size: number, alignment: number, origin: Origin): number {
    if (!isPower(alignment)) return this.refuse(alignmentNotPower(alignment));
    return this.allocate(size, Math.max(alignment, 16), origin);
  }

  /** Throws the error, or returns 0, as the flags say. */
  refuse(error: HardenedError): 0 {
    if (this.flags.mayReturnNull === false) throw error;
    return 0;
  }

  /** In place while its class stays the same, or where there is no memory for another block. */
  resize(ptr: number, size: number): number {
    this.checkEnabled();
    const header = this.#headerOf("reallocating", ptr);
    if (header.origin === NEW || header.origin === NEW_ARRAY) {
      this.#checkOrigin("reallocating", header, ptr, MALLOC);
    }
    const begin = ptr - header.offset;
    const most = this.heap.usableSize(begin) - header.offset;
    if (size <= most && this.heap.goodSize(header.offset + size) === most + header.offset) {
      return this.#resizeHere(ptr, header, size);
    }
    const to = this.#make(size, 16, MALLOC, false);
    if (to !== 0) return this.#move(ptr, header, to, size);
    return size <= most
      ? this.#resizeHere(ptr, header, size)
      : this.refuse(this.#noMemory(size, 16));
  }

  deallocate(ptr: number, origin: Origin, claims?: FreeClaims): void {
    this.checkEnabled();
    const header = this.#headerOf("deallocating", ptr);
    // free also takes the blocks of memalign.
    const good = header.origin === origin || (header.origin === MEMALIGN && origin === MALLOC);
    if (!good) this.#checkOrigin("deallocating", header, ptr, origin);
    if (claims !== undefined) this.#checkClaims(ptr, header, claims);
    this.#retire(ptr, header);
    this.#onDeallocate(ptr);
  }

  usableSize(ptr: number): number {
    const header = this.#headerOf("sizing", ptr);
    return this.#usable(ptr, header);
  }

  isOwned(ptr: number): boolean {
    return ptr !== 0 && ptr % 16 === 0 && this.#headers.find(ptr)?.state === ALLOCATED;
  }

  /** Calls `visit` with each live block, in the order of the size-class heap's forEachBlock. */
  forEach(visit: (ptr: number, size: number, bytes: number) => void): void {
    this.heap.forEachBlock((begin, bytes) => {
      const ptr = begin === this.#list ? 0 : this.#headers.blockIn(begin);
      const header = ptr === 0 ? undefined : this.#headers.find(ptr);
      if (header?.state === ALLOCATED) visit(ptr, this.#usable(ptr, header), bytes);
    });
  }

  /** The block, live or free, that contains an address; undefined where there never was one. */
  describe(address: number): ErrorInfo | undefined {
    const begin = this.heap.blockBegin(address);
    const ptr = begin === 0 || begin === this.#list ? 0 : this.#headers.blockIn(begin);
    const header = ptr === 0 ? undefined : this.#headers.find(ptr);
    if (header === undefined) return undefined;
    const { size } = header;
    const state = states[header.state] as ErrorInfo["state"];
    const { allocatedAt, freedAt } = this.historyOf(ptr);
    return { type: typeOf(address, ptr, header), ptr, size, state, allocatedAt, freedAt };
  }

  historyOf(ptr: number): BlockHistory {
    return this.#history?.of(ptr) ?? { allocatedAt: undefined, freedAt: undefined };
  }

  get tracks(): boolean {
    return this.#tracks;
  }

  /** Allocates nothing before the first time; what was remembered stays when it is turned off. */
  set tracks(on: boolean) {
    const size = this.flags.allocationRingBufferSize ?? RING;
    this.#tracks = on && size > 0;
    if (this.#tracks) this.#history ??= new History(size);
  }

  /** Number of different stacks that are remembered. */
  get stacks(): number {
    return this.#history?.stacks ?? 0;
  }

  disable(): boolean {
    this.checkEnabled();
    this.#disabled = this.heap.primary.forceLock();
    return this.#disabled;
  }

  enable(): void {
    if (this.#disabled) this.heap.primary.forceUnlock();
    this.#disabled = false;
  }

  checkEnabled(): void {
    if (this.#disabled) throw allocatorDisabled();
  }

  /** A block, before hooks and history; 0 = out of memory, or too large. */
  #make(size: number, alignment: number, origin: Origin, zeroed: boolean): number {
    this.checkEnabled();
    const total = totalOf(size, alignment);
    const begin = total > SIZE_LIMIT ? 0 : this.heap.malloc(total);
    if (begin === 0) return 0;
    const ptr = Math.ceil((begin + HEADER_BYTES) / alignment) * alignment;
    const header = { size, offset: ptr - begin };
    if (zeroed || this.fill !== "none") {
      this.#fill(ptr, ptr + this.#usable(ptr, header), zeroed ? "zero" : this.fill);
    }
    this.#headers.write(ptr, origin, size, header.offset);
    return ptr;
  }

  #noMemory(size: number, alignment: number): HardenedError {
    const total = totalOf(size, alignment);
    return total > SIZE_LIMIT ? sizeTooBig(size, total) : outOfMemoryFor(size);
  }

  #fill(from: number, to: number, fill: FillContents): void {
    if (fill !== "none") this.heap.u8.fill(fill === "zero" ? 0 : PATTERN, from, to);
  }

  /** The bytes that a block grows by in place are filled like new blocks: they were used before. */
  #resizeHere(ptr: number, header: Header, size: number): number {
    const before = this.#usable(ptr, header);
    this.#headers.write(ptr, header.origin, size, header.offset);
    this.#fill(ptr + before, ptr + this.#usable(ptr, { ...header, size }), this.fill);
    if (size !== header.size) this.#onResize(ptr, ptr, size);
    return ptr;
  }

  #move(ptr: number, header: Header, to: number, size: number): number {
    const bytes = Math.min(this.#usable(ptr, header), this.usableSize(to));
    this.heap.u8.copyWithin(to, ptr, ptr + bytes);
    this.#retire(ptr, header);
    this.#onResize(ptr, to, size);
    return to;
  }

  #onResize(from: number, to: number, size: number): void {
    this.#onDeallocate(from);
    this.#onAllocate(to, size);
  }

  #onAllocate(ptr: number, size: number): void {
    if (this.#tracks) this.#history?.allocated(ptr);
    this.#hooks.onAllocate?.(ptr, size);
  }

  #onDeallocate(ptr: number): void {
    if (this.#tracks) this.#history?.freed(ptr);
    this.#hooks.onDeallocate?.(ptr);
  }

  #checkClaims(ptr: number, header: Header, { size, alignment }: FreeClaims): void {
    const { deleteSizeMismatch, deallocAlignMismatch } = this.flags;
    if (alignment !== undefined && deallocAlignMismatch !== false) {
      if (!isPower(alignment)) throw alignmentNotPower(alignment);
      if (ptr % alignment !== 0) throw this.#withStacks(alignmentMismatch(ptr, alignment));
    }
    if (size === undefined || size === header.size || deleteSizeMismatch === false) return;
    const usable = this.#usable(ptr, header);
    if (size !== usable) throw this.#withStacks(sizeMismatch(ptr, size, header.size, usable));
  }

  #checkOrigin(action: Action, { origin }: Header, ptr: number, given: Origin): void {
    if (this.flags.deallocTypeMismatch === false) return;
    throw this.#withStacks(typeMismatch(action, ptr, origin, given));
  }

  #withStacks(error: HardenedError): HardenedError {
    return stacksAdd(error, this.#history);
  }

  /** @throws HardenedError unless ptr is a live block. */
  #headerOf(action: Action, ptr: number): Header {
    if (ptr % 16 !== 0) throw misalignedPointer(action, ptr);
    const header = this.#headers.find(ptr);
    if (header === undefined) throw this.#withStacks(this.#headers.corrupted(ptr));
    if (header.state !== ALLOCATED) throw this.#withStacks(invalidState(action, ptr));
    return header;
  }

  #usable(ptr: number, { size, offset }: Pick<Header, "size" | "offset">): number {
    if (this.flags.exactUsableSize !== false) return size;
    return this.heap.usableSize(ptr - offset) - offset;
  }

  /** Moves a block to the quarantine, or returns it to its class. */
  #retire(ptr: number, header: Header): void {
    const {
      quarantineSizeKb = 0,
      quarantineMaxChunkSize = 0,
      zeroOnDeallocMaxSize = 0,
    } = this.flags;
    const tooLarge = quarantineMaxChunkSize > 0 && header.size > quarantineMaxChunkSize;
    const isKept = quarantineSizeKb > 0 && !tooLarge;
    const usable = zeroOnDeallocMaxSize === 0 ? 0 : this.#usable(ptr, header);
    this.#headers.stateChange(ptr, header, isKept ? QUARANTINED : AVAILABLE, "deallocating");
    if (usable > 0 && usable <= zeroOnDeallocMaxSize) this.#fill(ptr, ptr + usable, "zero");
    if (isKept) this.quarantine.put(ptr, header.size);
    else this.heap.free(ptr - header.offset);
  }

  #recycle(ptr: number): void {
    const header = this.#headers.find(ptr);
    if (header === undefined || header.offset < HEADER_BYTES) throw this.#headers.corrupted(ptr);
    if (header.state !== QUARANTINED) throw this.#withStacks(invalidState("recycling", ptr));
    this.#headers.stateChange(ptr, header, AVAILABLE, "recycling");
    this.heap.free(ptr - header.offset);
  }
}

function totalOf(size: number, alignment: number): number {
  return size + HEADER_BYTES + (alignment > 16 ? alignment : 0);
}

/** Scudo's names of what an access to the address is. */
function typeOf(address: number, ptr: number, { state, size }: Header): ErrorInfo["type"] {
  if (state !== ALLOCATED) return "use after free";
  if (address < ptr) return "buffer underflow";
  return address < ptr + size ? "unknown" : "buffer overflow";
}
