/** Serves a checked program in whose allocator's place the checker allocates, with red zones. */

import { PAGE_BYTES } from "../../common/constants.ts";
import { WASI_EINVAL, WASI_ENOMEM } from "../../common/errno.ts";
import { hex } from "../../common/errors.ts";
import type { AllocatorFunction, Family } from "../allocators/roles.ts";
import type { DefinedMemory } from "../definedness/memory.ts";
import { chunkHeader } from "../override/headers.ts";
import type { AllocatorHooks } from "../shadow/allocator-hooks.ts";
import type { Near } from "../shadow/block-table.ts";
import type { Blocks } from "../shadow/blocks.ts";
import { type Areas, isOnStack } from "../shadow/program-areas.ts";
import type { Instrumented } from "./instrument.ts";
import { bytesText, type Kind } from "./report.ts";
import type { Reporter } from "./reporter.ts";
import type { Stacks } from "./stacks.ts";

/** Families none of which may free what another one has allocated. */
const STRICT: readonly Family[] = ["malloc", "new", "new[]"];
/** Families that pass the size of a block that they free. */
const SIZED: readonly Family[] = ["new", "rust", "zig"];

/** What a replacement works with. */
export interface ReplacementParts {
  readonly instrumented: Instrumented;
  readonly reporter: Reporter;
  readonly blocks: Blocks;
  readonly functions: readonly AllocatorFunction[];
  readonly areas: Areas;
  readonly memory: WebAssembly.Memory;
  readonly defined: DefinedMemory | undefined;
  /** LLVM's stack pointer now. */
  stackPointer(): number;
  /** Checks an access that is made on behalf of the program. */
  checkRange(address: number, length: number, write: boolean): void;
}

export class Replacement {
  readonly blocks: Blocks;
  readonly #parts: ReplacementParts;
  readonly #reporter: Reporter;
  readonly #stacks: Stacks;
  readonly #blocks: Blocks;
  readonly #words: Uint32Array;
  readonly #defined: DefinedMemory | undefined;
  readonly #families: readonly Family[];
  /** Whether new blocks need a header, or undefined bits. */
  readonly #preparesBlocks: boolean;

  constructor(parts: ReplacementParts) {
    const { instrumented, reporter, blocks, functions, memory, defined } = parts;
    this.#parts = parts;
    this.#reporter = reporter;
    this.#stacks = reporter.stacks;
    this.blocks = blocks;
    this.#blocks = blocks;
    this.#words = new Uint32Array(memory.buffer);
    this.#defined = defined;
    this.#families = functions.map((each) => each.role.family);
    const hasHeaders = instrumented.headers || this.#families.includes("assemblyscript");
    this.#preparesBlocks = hasHeaders || defined !== undefined;
  }

  hooks(): WebAssembly.ModuleImports & AllocatorHooks {
    return {
      alloc: (size, align, caller, context) => this.#alloc(1, size, align, caller, context, false),
      zero: (count, size, align, caller, context) =>
        this.#alloc(count, size, align, caller, context, true),
      free: (ptr, size, _align, caller, context) => this.#free(ptr >>> 0, size, caller, context),
      realloc: (ptr, count, size, old, align, caller, context) =>
        this.#realloc(ptr >>> 0, (count >>> 0) * (size >>> 0), old, align, caller, context),
      posix: (out, align, size, caller, context) =>
        this.#posix(out >>> 0, align, size, caller, context),
      usable: (ptr) => this.#usable(ptr >>> 0),
    };
  }

  #alloc(
    count: number,
    size: number,
    align: number,
    caller: number,
    context: number,
    zero: boolean,
  ): number {
    const bytes = (count >>> 0) * (size >>> 0);
    const stack = this.#stacks.ofContext(context);
    if (bytes >= 2 ** 32) {
      const text = `${this.#nameOf(caller)} of ${count >>> 0} times ${bytesText(size >>> 0)}`;
      this.#reporter.report({ kind: "size-overflow", text, address: 0, stack });
      return 0;
    }
    const ptr = zero
      ? this.#blocks.allocZero(bytes, align, caller, stack)
      : this.#blocks.alloc(bytes, align, caller, stack);
    if (this.#preparesBlocks && ptr !== 0) this.#blockPrepare(ptr, bytes, caller, zero);
    return ptr;
  }

  #blockPrepare(ptr: number, size: number, caller: number, zero: boolean): void {
    this.#headerWrite(ptr, size, this.#family(caller));
    if (zero) this.#defined?.define(ptr, size);
    else this.#defined?.undefine(ptr, size);
  }

  /**
   * Writes the word before a block if code outside of the allocator reads it: AssemblyScript's
   * collector reads the size, and pieces of Rust's and C's dlmalloc that are inlined in the program
   * read the size of a chunk and its flags.
   */
  #headerWrite(ptr: number, size: number, family: Family): void {
    if (family === "assemblyscript") this.#words[(ptr - 4) >>> 2] = size & ~3;
    else if (this.#parts.instrumented.headers) {
      this.#words[(ptr - 4) >>> 2] = chunkHeader(size);
    }
  }

  #free(ptr: number, size: number, caller: number, context: number): void {
    if (ptr === 0) return;
    const id = this.#blocks.find(ptr);
    const stack = this.#stacks.ofContext(context);
    if (id === 0 || !this.#blocks.isLive(id)) this.#freeReport(id, ptr, caller, stack);
    else {
      this.#freeCheck(id, size, caller, stack);
      this.#blocks.free(id, caller, stack);
    }
  }

  #freeReport(id: number, ptr: number, caller: number, stack: number): void {
    const call = `${this.#nameOf(caller)} of ${hex(ptr)}`;
    this.#pointerReport(id === 0 ? this.#freeKind(ptr) : "double-free", call, ptr, stack);
  }

  #freeKind(ptr: number): Kind {
    const near = this.#blocks.near(ptr);
    if (near) return near.side === "inside" ? "interior-pointer" : "not-a-block";
    const { instrumented, areas } = this.#parts;
    if (ptr >= instrumented.layout.heapStart) return "not-a-block";
    if (isOnStack(areas, ptr) && ptr >= this.#parts.stackPointer()) return "stack-pointer";
    const staticEnd = instrumented.layout.initialPages * PAGE_BYTES;
    return ptr < staticEnd ? "static-pointer" : "not-a-block";
  }

  /** Checks that a block is freed by a function of the right family, and with the right size. */
  #freeCheck(id: number, size: number, caller: number, stack: number): void {
    const allocator = this.#family(this.#blocks.allocator(id));
    const freer = this.#family(caller);
    if (allocator !== freer) {
      if (STRICT.includes(allocator) && STRICT.includes(freer))
        this.#familyReport(id, caller, stack);
    } else if (size !== -1 && SIZED.includes(freer) && size >>> 0 !== this.#blocks.size(id)) {
      const { ptr } = this.#blocks.block(id);
      const text = `${this.#nameOf(caller)} of ${bytesText(size >>> 0)} at ${hex(ptr)}`;
      this.#pointerReport("size-mismatch", text, ptr, stack);
    }
  }

  #familyReport(id: number, caller: number, stack: number): void {
    const { ptr, allocator } = this.#blocks.block(id);
    const text = `${this.#nameOf(caller)} of ${hex(ptr)}, which is from ${this.#nameOf(allocator)}`;
    this.#pointerReport("family-mismatch", text, ptr, stack);
  }

  #pointerReport(kind: Kind, text: string, address: number, stack: number): void {
    const id = this.#blocks.find(address);
    const near: Near | undefined =
      id === 0
        ? this.#blocks.near(address)
        : { block: this.#blocks.block(id), side: "inside", distance: 0 };
    this.#reporter.report({ kind, text, address, stack, near });
  }

  #realloc(
    ptr: number,
    size: number,
    old: number,
    align: number,
    caller: number,
    context: number,
  ): number {
    if (size >= 2 ** 32) return 0;
    const stack = this.#stacks.ofContext(context);
    const id = ptr === 0 ? 0 : this.#blocks.find(ptr);
    const good = id !== 0 && this.#blocks.isLive(id);
    if (ptr !== 0 && !good) this.#reallocReport(id, ptr, size, caller, stack);
    else if (ptr !== 0) this.#freeCheck(id, old, caller, stack);
    const moved = this.#alloc(1, size, align, caller, context, false);
    if (!good || moved === 0) return moved;
    const both = Math.min(size, this.#blocks.size(id));
    this.#blocks.copy(ptr, moved, both);
    this.#defined?.copy(ptr, moved, both);
    this.#blocks.free(id, caller, stack);
    return moved;
  }

  /** The program continues with a new block, as if the pointer had been null. */
  #reallocReport(id: number, ptr: number, size: number, caller: number, stack: number): void {
    const text = `${this.#nameOf(caller)} of ${hex(ptr)} to ${bytesText(size)}`;
    this.#pointerReport(id === 0 ? "not-a-block" : "realloc-after-free", text, ptr, stack);
  }

  #posix(out: number, align: number, size: number, caller: number, context: number): number {
    if (align < 4 || (align & (align - 1)) !== 0) return WASI_EINVAL;
    const ptr = this.#alloc(1, size, align, caller, context, false);
    if (ptr === 0) return WASI_ENOMEM;
    this.#parts.checkRange(out, 4, true);
    new DataView(this.#parts.memory.buffer).setUint32(out, ptr, true);
    return 0;
  }

  #usable(ptr: number): number {
    const id = this.#blocks.find(ptr);
    return id === 0 ? 0 : this.#blocks.size(id);
  }

  /** The name of an allocator function by its number. */
  #nameOf(caller: number): string {
    return this.#reporter.nameOf(caller);
  }

  #family(caller: number): Family {
    return this.#families[caller] as Family;
  }
}
