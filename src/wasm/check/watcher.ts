/** Serves a checked program that keeps its allocator: notes its blocks, and delays its frees. */
import { hex } from "../../common/errors.ts";
import type { AllocatorFunction } from "../allocators/roles.ts";
import type { DefinedMemory } from "../definedness/memory.ts";
import { FREE_EXPORT, TAKING, type WatchHooks } from "../shadow/watch-hooks.ts";
import type { Evicted, WatchedBlocks } from "../shadow/watched-blocks.ts";
import { bytesText, type Kind } from "./report.ts";
import type { Reporter } from "./reporter.ts";

/** What a watcher works with. */
export interface WatcherParts {
  readonly reporter: Reporter;
  readonly blocks: WatchedBlocks;
  readonly functions: readonly AllocatorFunction[];
  readonly memory: WebAssembly.Memory;
  readonly defined: DefinedMemory | undefined;
}

export class Watcher {
  readonly blocks: WatchedBlocks;
  readonly #parts: WatcherParts;
  #exports: WebAssembly.Exports = {};

  constructor(parts: WatcherParts) {
    this.#parts = parts;
    this.blocks = parts.blocks;
  }

  /** Takes the exports, by which delayed frees are made. */
  attach(exports: WebAssembly.Exports): void {
    this.#exports = exports;
  }

  hooks(): WebAssembly.ModuleImports & WatchHooks {
    return {
      took: (action, old, result, count, size, caller, context) =>
        this.#took(
          TAKING[action] === "posix",
          old >>> 0,
          result >>> 0,
          [count, size],
          [TAKING[action] === "zero", caller, context],
        ),
      resizing: (ptr, caller, context) => this.#resizing(ptr >>> 0, caller, context),
      release: (a, b, c, d, caller, context) => this.#release([a, b, c, d], caller, context),
    };
  }

  #took(
    isPosix: boolean,
    old: number,
    result: number,
    [count, each]: readonly [number, number],
    [zero, caller, context]: readonly [boolean, number, number],
  ): number {
    const failed = isPosix ? result !== 0 : result === 0;
    if (failed) return this.#evict(this.#parts.blocks.evict(true)) ? 1 : 0;
    const ptr = isPosix ? new DataView(this.#parts.memory.buffer).getUint32(old, true) : result;
    const size = (count >>> 0) * (each >>> 0);
    const { blocks, defined, reporter } = this.#parts;
    const kept = isPosix ? 0 : Math.min(size, blocks.drop(old));
    blocks.take(ptr, size, caller, reporter.stacks.ofContext(context));
    if (zero) defined?.define(ptr, size);
    else defined?.undefine(ptr + kept, size - kept);
    return 0;
  }

  /** A block that waits is the allocator's to resize: it has not seen the free. */
  #resizing(ptr: number, caller: number, context: number): void {
    const id = this.#parts.blocks.find(ptr);
    if (id === 0 || this.#parts.blocks.isLive(id)) return;
    this.#report("realloc-after-free", caller, ptr, id, context);
    this.#parts.blocks.drop(ptr);
  }

  /** Pointers that are not known may be of pieces of the allocator that are not watched. */
  #release(args: readonly number[], caller: number, context: number): number {
    const { blocks, functions, reporter } = this.#parts;
    const at = (functions[caller] as AllocatorFunction).role.params.indexOf("ptr");
    const ptr = (args[at] as number) >>> 0;
    const id = ptr === 0 ? 0 : blocks.find(ptr);
    if (id === 0) return 1;
    if (!blocks.isLive(id)) {
      this.#report("double-free", caller, ptr, id, context);
      return 0;
    }
    // Before there is an instance, a delayed free could not be made.
    if (!this.#exports[`${FREE_EXPORT}${caller}`]) {
      blocks.drop(ptr);
      return 1;
    }
    blocks.wait(id, caller, reporter.stacks.ofContext(context), args);
    this.#evict(blocks.evict(false));
    return 0;
  }

  #evict(evicted: readonly Evicted[]): boolean {
    for (const { freer, args } of evicted) {
      const free = this.#exports[`${FREE_EXPORT}${freer}`] as (...args: number[]) => void;
      free(...args);
    }
    return evicted.length > 0;
  }

  #report(kind: Kind, caller: number, address: number, id: number, context: number): void {
    const { reporter, blocks } = this.#parts;
    const block = blocks.block(id);
    const text = `${reporter.nameOf(caller)} of ${hex(address)}, ${bytesText(block.size)}`;
    const stack = reporter.stacks.ofContext(context);
    reporter.report({ kind, text, address, stack, near: { block, side: "inside", distance: 0 } });
  }
}
