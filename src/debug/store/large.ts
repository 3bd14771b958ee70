/** Blocks that are too large for a slot, or aligned too widely: each has a run of its own. */
import {
  type AlignmentRequest,
  type Block,
  type FreedState,
  frontZoneBytes,
  type Item,
  type NewBlock,
  type Run,
} from "./block.ts";

/** Bytes of the object and its entries in the table, by the sizes that V8 gives them. */
const LARGE_OBJECTS = 264;

export class Large implements Block, Item {
  readonly run: Run;
  readonly ptr: number;
  readonly alignment: number;
  size = 0;
  live = false;
  allocated = 0;
  resized = 0;
  freed = 0;
  order = 0;
  heap = 0;
  freedState: FreedState = "poisoned";
  /** Bytes of the run, from its end on, whose physical memory was given back. */
  released = 0;

  constructor(run: Run, align: AlignmentRequest) {
    this.run = run;
    this.alignment = align.alignment;
    this.ptr = run.base + frontZoneBytes(align);
  }

  get from(): number {
    return this.run.base;
  }
  get base(): number {
    return this.run.base;
  }
  get end(): number {
    return this.to;
  }
  get area() {
    const { bytes } = this.run;
    return { reserved: bytes, committed: bytes, blockSize: bytes };
  }
  /** Before the end of the run while whole pages after the block are given back. */
  get to(): number {
    return this.limit - (this.freedState === "poisoned" ? this.released : 0);
  }
  get limit(): number {
    return this.run.base + this.run.bytes;
  }
  get metadataBytes(): number {
    return LARGE_OBJECTS;
  }

  allocate({ size, allocated, resized, order, heap }: NewBlock): void {
    this.size = size;
    this.live = true;
    this.allocated = allocated;
    this.resized = resized;
    this.order = order;
    this.heap = heap;
  }

  resize(size: number, stack: number): void {
    this.size = size;
    if (stack !== 0) this.resized = stack;
  }

  free(stack: number, order: number): void {
    this.live = false;
    this.freed = stack;
    this.order = order;
  }

  *blocks(): Generator<Large> {
    yield this;
  }
}
