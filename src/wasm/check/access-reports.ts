/** Reports of accesses that may not be made, and of uses of what was never written. */
import { hex } from "../../common/errors.ts";
import { USES } from "../definedness/setting.ts";
import { INFO_SITE_SHIFT, INFO_WRITE } from "../shadow/access-checks.ts";
import type { BlockTable, Near } from "../shadow/block-table.ts";
import type { Layout } from "../shadow/layout.ts";
import { type Areas, isOnStack } from "../shadow/program-areas.ts";
import { Places } from "./places.ts";
import { accessText, type Kind, type Report } from "./report.ts";
import { CheckHalt, type Reporter } from "./reporter.ts";

/** What reports of accesses are made of. */
export interface AccessParts {
  readonly reporter: Reporter;
  readonly blocks: BlockTable;
  readonly areas: Areas;
  readonly layout: Layout;
  /** Whether blocks have a header that code outside of the allocator reads. */
  readonly hasHeaders: boolean;
}

/** Bytes of a header. */
const HEADER_BYTES = 4;

export class AccessReports {
  readonly #reporter: Reporter;
  readonly #blocks: BlockTable;
  readonly #areas: Areas;
  readonly #layout: Layout;
  readonly #hasHeaders: boolean;
  /** Uninitialised reads that have been reported. */
  readonly #reported = new Set<string>();
  /** Accesses of the module that have been reported, and addresses of undefined values. */
  readonly #places = new Places();
  readonly #origins = new Places();

  constructor({ reporter, blocks, areas, layout, hasHeaders }: AccessParts) {
    this.#reporter = reporter;
    this.#blocks = blocks;
    this.#areas = areas;
    this.#layout = layout;
    this.#hasHeaders = hasHeaders;
  }

  /**
   * An access may not be made.
   *
   * @param info the bits of access-checks.ts.
   * @throws CheckHalt if the engine would end the program there.
   */
  bad(address: number, info: number, length: number): void {
    const site = info >>> INFO_SITE_SHIFT;
    if (site !== 0 && !this.#isWild(address) && this.#places.isRepeated(site)) return;
    if (this.#isHeaderRead(address, info, length)) return;
    const report = this.#accessReport(address, info, length);
    if (site !== 0) this.#places.reported(site, report);
    // Without a check this access would have trapped.
    if (report.kind === "wild-access" && this.#isOutside(address)) throw new CheckHalt(report);
  }

  #accessReport(address: number, info: number, length: number): Report {
    const write = (info & INFO_WRITE) !== 0;
    const stack = this.#reporter.stacks.capture();
    const near = this.#blocks.near(address);
    const kind = this.#accessKind(address, near);
    const text = accessText(write, length, address);
    const mistake = { kind, text, address, stack, near, size: length, write };
    return this.#reporter.report(mistake);
  }

  /**
   * Pieces of an allocator that are inlined in the program read the word before a block. It has one
   * where they do: see chunkHeader.
   */
  #isHeaderRead(address: number, info: number, length: number): boolean {
    if (!this.#hasHeaders || (info & INFO_WRITE) !== 0 || length !== HEADER_BYTES) return false;
    const near = this.#blocks.near(address);
    return near?.side === "before" && near.distance === HEADER_BYTES;
  }

  /** Whether an access there ends the program. */
  #isWild(address: number): boolean {
    return address >= this.#areas.nullEnd && this.#isOutside(address);
  }

  /**
   * An undefined value was used. It may be copied and used often: it is reported once, by where it
   * was read.
   */
  undefinedUsed(origin: number, use: number): void {
    const found = this.#blocks.near(origin);
    const block = found && `${origin} ${found.block.id + found.block.allocated / 2 ** 32}`;
    if (block !== undefined && this.#reported.has(block)) return;
    if (block === undefined && this.#origins.isRepeated(origin)) return;
    const stack = this.#reporter.stacks.capture();
    const key = block ?? `${origin} ${this.#reporter.stacks.outermost(stack)}`;
    if (block === undefined) this.#origins.reported(origin);
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    const text = `${USES[use]} depends on what was never written at ${hex(origin)}`;
    // The block was live when the value was read.
    const near = found && { ...found, block: { ...found.block, live: true } };
    const where = isOnStack(this.#areas, origin) ? "it is on the stack" : undefined;
    const kind = "uninitialised-read";
    this.#reporter.report({ kind, text, address: origin, stack, near, where });
  }

  #accessKind(address: number, near: Near | undefined): Kind {
    if (near?.side === "behind") return "heap-overflow";
    if (near?.side === "before") return "heap-underflow";
    // An access to a live block is refused if it begins in the block and ends behind it.
    if (near) return near.block.live ? "heap-overflow" : "use-after-free";
    return address < this.#areas.nullEnd ? "null-access" : "wild-access";
  }

  /** Whether an address belongs neither to the program nor to the heap. */
  #isOutside(address: number): boolean {
    const { heapStart, shadowStart } = this.#layout;
    return address < heapStart || address >= shadowStart;
  }
}
