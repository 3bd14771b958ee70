/** What an allocator and the heaps beside it have in common: sites, views, strings, handles. */
import { checkPointer, checkSize } from "../../common/checks.ts";
import {
  arrayOf,
  type HeapView,
  stringBytes,
  stringPut,
  type TypedArray,
  type TypedArrayConstructor,
} from "../../common/views.ts";
import { AllocatorBase, type Memory } from "../../layers/index.ts";
import type { Entry } from "../report/stack-table.ts";
import type { Calls, Site } from "./calls.ts";
import { Verbs } from "./calls-c.ts";

const otherNames = [
  ...["freeSized", "reallocarray", "mallocSize", "mallocGoodSize", "allocArray", "allocString"],
  ...["track", "check", "detectLeaks", "deinit", "collect", "destroy"],
] as const;

/** The calls that begin a stack. */
type SiteName = Exclude<keyof Verbs, "calls"> | (typeof otherNames)[number];

const names = [...Object.getOwnPropertyNames(Verbs.prototype), ...otherNames];

export abstract class DebugDoor extends AllocatorBase {
  protected verbs: Verbs;
  /** For each call its name, where its stacks begin, and whose its blocks are. */
  protected readonly at: Readonly<Record<SiteName, Site>>;
  protected readonly backingMemory: Memory;
  readonly #calls: Calls;

  /** @param heap Whose new blocks are; undefined: the default heap's. */
  constructor(calls: Calls, heap: number | undefined) {
    super();
    const { backing } = calls;
    this.#calls = calls;
    this.verbs = new Verbs(calls);
    this.backingMemory = { bytes: () => backing.u8, u32: () => backing.u32 };
    const own = this as unknown as Record<string, Entry>;
    const sites = names.map((call) => [call, { call, entry: own[call], heap }]);
    this.at = Object.fromEntries(sites);
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
    const bytes = length * type.BYTES_PER_ELEMENT;
    checkSize(bytes, "size");
    const ptr = this.verbs.zalloc(this.at.allocArray, bytes);
    return this.track(arrayOf(this, type, ptr, length), ptr);
  }

  /**
   * Text as a new block of UTF-8, with a NUL behind it if `terminate`; reported as allocArray's.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  override allocString(
    text: string,
    { terminate }: { terminate?: boolean } = {},
  ): HeapView<Uint8Array> {
    const bytes = stringBytes(text, terminate);
    const ptr = this.verbs.malloc(this.at.allocString, bytes.length);
    return this.track(stringPut(this, ptr, bytes, terminate), ptr);
  }

  /**
   * Makes `handle` the owner of the block at ptr: if the garbage collector takes it while the block
   * is live, that is reported with the stack of the allocation. Blocks that a sampling allocator
   * does not guard are not watched. Answers the handle.
   */
  track<T extends object>(handle: T, ptr: number): T {
    checkPointer(ptr);
    this.#calls.track(this.at.track, handle, ptr);
    return handle;
  }

  /** Every later call throws. */
  protected end(error: () => Error): void {
    this.verbs = verbsEnded(error);
  }
}

/** In the place of the verbs of what has ended, so that no live call pays for the question. */
function verbsEnded(error: () => Error): Verbs {
  return new Proxy({} as Verbs, {
    get: () => {
      throw error();
    },
  });
}
