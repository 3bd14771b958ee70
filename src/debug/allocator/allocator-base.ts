/** What a debug allocator and the heaps beside it have in common: calls, call sites, handles. */
import { AllocatorBase } from "../../common/allocator-base.ts";
import { checkAlignment, checkPointer, checkSize } from "../../common/checks.ts";
import { notInABlock } from "../../common/errors.ts";
import {
  arrayOf,
  type HeapView,
  stringBytes,
  stringPut,
  type TypedArray,
  type TypedArrayConstructor,
  ViewsBelow,
} from "../../common/views.ts";
import type { AllocatorCalls } from "../../heap/calls/allocator-calls.ts";
import { checkCellIn } from "../../heap/calls/cells.ts";
import { withCalls } from "../../heap/calls/checked.ts";
import { methodRows } from "../../heap/calls/table.ts";
import type { Heap } from "../../heap/index.ts";
import type { Entry } from "../report/stack-table.ts";
import type { Given } from "../store/request.ts";
import type { CallSite } from "./call-site.ts";
import { allocate, bytesOf, debugCalls } from "./debug-calls.ts";
import type { DebugCore } from "./debug-core.ts";

const otherNames = [
  ...["freeSized", "reallocSized", "allocArray", "allocString", "track"],
  ...["check", "detectLeaks", "collect", "destroy"],
] as const;

type OtherName = (typeof otherNames)[number];

abstract class DebugAllocatorMethods extends AllocatorBase {
  /** Of an allocator that has ended: one that throws. */
  protected core: DebugCore;
  /** For each call, in the table's order: its name, where its stacks begin, its blocks' heap. */
  protected readonly callSites: readonly CallSite[];
  /** The same for other methods. */
  protected readonly sites: Readonly<Record<OtherName, CallSite>>;

  /** @param heap The heap of its new blocks; undefined: the default heap. */
  constructor(core: DebugCore, heap: number | undefined) {
    const { backing } = core;
    super(new ViewsBelow({ bytes: () => backing.u8, u32: () => backing.u32 }));
    this.core = core;
    const own = this as unknown as Record<string, Entry>;
    const siteOf = (call: string): CallSite => ({ call, entry: own[call] as Entry, heap });
    this.callSites = methodRows.map(([call]) => siteOf(call));
    this.sites = Object.fromEntries(
      otherNames.map((name) => [name, siteOf(name)]),
    ) as unknown as Readonly<Record<OtherName, CallSite>>;
  }

  /**
   * `free` for callers that know the size, and perhaps the alignment, that the block was allocated
   * with: what differs is reported. Without an alignment only the size is compared.
   */
  freeSized(ptr: number, size: number, alignment?: number): void {
    checkPointer(ptr);
    this.core.free(this.sites.freeSized, ptr, givenOf(size, "size", alignment));
  }

  /**
   * `realloc` for callers that know the size, and perhaps the alignment, that the block was
   * allocated with: what differs is reported.
   */
  reallocSized(ptr: number, oldSize: number, size: number, alignment?: number): number {
    checkPointer(ptr);
    const given = givenOf(oldSize, "oldSize", alignment);
    checkSize(size, "size");
    return this.core.resize(this.sites.reallocSized, ptr, { size, given });
  }

  /**
   * A new block of `length` zero elements as a view, which is reported as a forgotten handle if the
   * garbage collector takes it before the block was freed.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  override allocArray<T extends TypedArray>(
    type: TypedArrayConstructor<T>,
    length: number,
  ): HeapView<T> {
    checkSize(length, "length");
    const { core, sites } = this;
    const ptr = allocate(core, sites.allocArray, {
      size: length * type.BYTES_PER_ELEMENT,
      zero: true,
    });
    return this.track(arrayOf(this, type, ptr, length), ptr);
  }

  /**
   * Text as a new block of UTF-8, with a NUL behind it if `terminate` is true; reported as a
   * forgotten handle as the view of `allocArray` is.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  override allocString(
    text: string,
    { terminate }: { terminate?: boolean } = {},
  ): HeapView<Uint8Array> {
    const bytes = stringBytes(text, terminate);
    const ptr = allocate(this.core, this.sites.allocString, { size: bytes.length });
    return this.track(stringPut(this, ptr, bytes, terminate), ptr);
  }

  /**
   * Makes `handle` the owner of the block at ptr: if the garbage collector takes it while the block
   * is live, that is reported with the stack of the allocation. Blocks that a sampling allocator
   * does not guard are not watched. Returns the handle.
   *
   * @example
   * class Image {
   *   readonly ptr = heap.malloc(1e6);
   *   constructor() {
   *     heap.track(this, this.ptr);
   *   }
   * }
   */
  track<T extends object>(handle: T, ptr: number): T {
    checkPointer(ptr);
    this.core.track(this.sites.track, handle, ptr);
    return handle;
  }

  /** Every later call throws. */
  protected end(error: () => Error): void {
    this.core = coreEnded(error);
  }
}

export interface DebugAllocatorBase extends AllocatorCalls, DebugAllocatorMethods {}

type DebugAllocatorClass = abstract new (
  core: DebugCore,
  heap: number | undefined,
) => DebugAllocatorBase;

/** To the calls, which the table makes. */
interface Called {
  readonly core: DebugCore;
  readonly callSites: readonly CallSite[];
}

export const DebugAllocatorBase = /* @__PURE__ */ withCalls(
  DebugAllocatorMethods,
  {
    block: (_: Called, _call, ptr) => checkPointer(ptr),
    cell: ({ core }, call, ptr) => checkCell(core, call, ptr),
  },
  (call, index) => {
    const run = debugCalls[call];
    return (self, a, b, c, d, e) => run(self.core, self.callSites[index]!, a, b, c, d, e);
  },
) as unknown as DebugAllocatorClass;

/** A heap below has words of its own, which a result would write over. */
function checkCell(core: DebugCore, call: string, ptr: number): void {
  checkCellIn(call, bytesOf(core), ptr);
  const { backing } = core;
  const heap = backing.allocator as Partial<Heap>;
  if (ptr === 0 || !heap.internals || heap.contains?.(ptr)) return;
  if (heap.internals.events.owns(ptr)) throw notInABlock(call, ptr);
}

function givenOf(size: number, name: string, alignment: number | undefined): Given {
  checkSize(size, name);
  if (alignment === undefined) return { size };
  checkAlignment(alignment);
  return { size, alignment };
}

/** Stands in for the core of what has ended, so that no live call pays for the question. */
function coreEnded(error: () => Error): DebugCore {
  return new Proxy({} as DebugCore, {
    get: () => {
      throw error();
    },
  });
}
