/**
 * How a merged heap gets its pages. Pages that its own growth has returned belong to the heap; the
 * memory that the program has at its start, or adds itself, belongs to the program.
 */
import { INIT_MOST_SHIFT, INIT_ZEROED } from "../../core/layout/layout.ts";
import { op } from "../module/opcodes.ts";
import { I32 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";

/** From bytes to slices of 64 KiB. */
const SHIFT = 16;
const PAGE_MASK = 0xffff;
/** The heap grows by an eighth of the memory: few growths, and little unused address space. */
const SHARE_SHIFT = 3;

/**
 * The core's env.grow, made of memory.grow: takes a number of slices, and returns
 * `granted << 16 | first`, or 0.
 */
export function growMemory(code: CodeWriter): void {
  const want = code.local("growth: wanted", I32);
  const first = code.local("growth: first", I32);
  code.op(op.memorySize, 0).const(SHARE_SHIFT).op(op.i32ShrU).tee(want).get(0).get(want).get(0);
  code.op(op.i32GtU, op.select).tee(want).op(op.memoryGrow, 0).tee(first);
  code.const(-1).op(op.i32Eq).if();
  code.get(0).tee(want).op(op.memoryGrow, 0).tee(first).const(-1).op(op.i32Eq);
  code.if().const(0).op(op.return).end().end();
  code.get(want).const(SHIFT).op(op.i32Shl).get(first).op(op.i32Or);
}

/**
 * The same, made of the program's sbrk, for programs in which other code uses it. emscripten's sbrk
 * returns memory below the end, whichever code has added it, and grows by calling JavaScript, which
 * must renew its views. It is asked for more than is needed only if the memory has that already:
 * some builds abort if they may not grow.
 */
export function growSbrk(sbrk: number): (code: CodeWriter) => void {
  return (code) => {
    const want = code.local("sbrk: wanted", I32);
    const at = code.local("sbrk: address", I32);
    const pad = code.local("sbrk: padding", I32);
    code.const(0).call(sbrk).tee(at).const(-1).op(op.i32Eq).if().const(0).op(op.return).end();
    code.const(0).get(at).op(op.i32Sub).const(PAGE_MASK).op(op.i32And).set(pad);
    code
      .get(at)
      .const(SHIFT + SHARE_SHIFT)
      .op(op.i32ShrU)
      .tee(want)
      .get(0)
      .op(op.i32GtU);
    code.get(at).get(pad).op(op.i32Add).const(SHIFT).op(op.i32ShrU).get(want).op(op.i32Add);
    code.op(op.memorySize, 0, op.i32LeU, op.i32And, op.i32Eqz).if().get(0).set(want).end();
    code.get(pad).get(want).const(SHIFT).op(op.i32Shl, op.i32Add).tee(pad).call(sbrk).tee(at);
    code.const(-1).op(op.i32Eq).if().const(0).op(op.return).end();
    // From here on `pad` is the first slice, and `want` how many there are.
    code.get(at).get(pad).op(op.i32Add).const(SHIFT).op(op.i32ShrU);
    code.get(at).const(PAGE_MASK).op(op.i32Add).const(SHIFT).op(op.i32ShrU).tee(pad);
    code.op(op.i32Sub).tee(want).const(0).op(op.i32GtS).op(op.if, I32);
    code.get(want).const(SHIFT).op(op.i32Shl).get(pad).op(op.i32Or);
    code.op(op.else).const(0).end();
  };
}

/**
 * sbrk, where the program's own is inlined: moves the break at an address, and asks the host if the
 * memory is too small. Returns the old break, or -1.
 */
export function sbrkWrite(address: number, grow: number) {
  return (code: CodeWriter): void => {
    const old = code.local("old break", I32);
    const next = code.local("new break", I32);
    code.const(address).access(op.i32Load).tee(old).get(0).op(op.i32Add).tee(next);
    code.get(old).op(op.i32LtU).get(0).const(0).op(op.i32GtS, op.i32And);
    code.if().const(-1).op(op.return).end();
    code.get(next).const(PAGE_MASK).op(op.i32Add).const(SHIFT).op(op.i32ShrU);
    code.op(op.memorySize, 0, op.i32GtU).if();
    code.get(next).call(grow).op(op.i32Eqz).if().const(-1).op(op.return).end().end();
    code.const(address).get(next).access(op.i32Store).get(old);
  };
}

/** Indices of functions and of a global, and the most pages that the memory can have. */
interface Beginning {
  grow: number;
  heapInit: number;
  top: number;
  most: number;
}

/** Makes the heap in the first page that it gets; returns 1, or 0 if it gets none. */
export function beginWrite({ grow, heapInit, top, most }: Beginning) {
  return (code: CodeWriter): void => {
    const granted = code.local("begin: granted", I32);
    const flags = (most << INIT_MOST_SHIFT) | INIT_ZEROED;
    code.const(1).call(grow).tee(granted).op(op.i32Eqz).if().const(0).op(op.return).end();
    code.get(granted).const(PAGE_MASK).op(op.i32And).get(granted).const(SHIFT).op(op.i32ShrU);
    code.op(op.i32Add).with(op.globalSet, top);
    code.get(granted).const(SHIFT).op(op.i32Shl).const(flags).call(heapInit).const(1);
  };
}
