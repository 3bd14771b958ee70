/**
 * Blocks with the header that dlmalloc gives its own:
 *
 *   base             p - 4     p           p + size
 *   │ padding         │ word    │ block …   │
 *
 * The word is the size of dlmalloc's chunk, `max(16, (size + 11) & ~7)`, and two flags: this block
 * is in use, and so is the one before it. Code of a program that has an inlined piece of its
 * allocator, as Rust's `dealloc`, compares the word with the size that it knows, and traps if they
 * do not fit. The price is 8 bytes a block, so blocks have headers only where such code was found.
 */
import type { Emit, ModuleEditor } from "../module/editor.ts";
import { op } from "../module/opcodes.ts";
import { I32, I64 } from "../module/value-types.ts";
import { type CodeWriter, i32s } from "../module/writer.ts";
import { type HeapFunction, type HeapTarget, heapFunctions } from "./bodies.ts";

/**
 * What the word says: dlmalloc's header, or for a trial what no program can rely on: all bits of
 * every other word are set, and none of the others.
 */
export type HeaderWord = "dlmalloc" | "trial";

/** How blocks are laid out. */
export interface HeaderForm {
  readonly word: HeaderWord;
  /**
   * Whether the program is all Rust: then blocks need no more than 8 bytes before them, and no byte
   * behind them. C's blocks keep the alignment to 16 of sizes that are multiples of 16, and really
   * have the bytes that their header claims.
   */
  readonly rust: boolean;
}

const CHUNK_LEAST = 16;
const CHUNK_MORE = 11;
const CHUNK_MASK = ~7;
/** Both flags: the block and the one before it are in use. */
const IN_USE = 3;
const WORD_BYTES = 4;
/** Larger sizes fail: with header and rounding they would wrap around. */
const SIZE_MOST = 0xffffff00 | 0;
/** Bytes before a block. */
const BEFORE_RUST = 8;
const BEFORE_C = 16;
/** What is asked for, chunk - 4 + BEFORE_C, is a multiple of 16. */
const C_ROUND = BEFORE_C - WORD_BYTES + 15;

/** The local that holds the size of the chunk. */
function chunkLocal(code: CodeWriter): number {
  return code.local("chunk", I32);
}

/** The word before a block of a size, as dlmalloc has it. */
export function chunkHeader(size: number): number {
  return (Math.max(CHUNK_LEAST, (size + CHUNK_MORE) & CHUNK_MASK) | IN_USE) >>> 0;
}

/** The functions of a heap of which those with headers are made. */
export const headerCallees: readonly HeapFunction[] = [
  "malloc",
  "free",
  "zalloc",
  "realloc",
  "realloc_aligned_at",
  "malloc_usable_size",
];

/** A heap whose blocks have headers, made of one whose blocks have none. */
export class HeaderHeap implements HeapTarget {
  readonly #heap: HeapTarget;
  readonly #form: HeaderForm;
  readonly #before: number;
  /** Global: the word of the latest block of a trial. */
  readonly #turn: number;
  readonly #functions = new Map<HeapFunction, number>();

  /** Adds the functions to the module; their bodies call the heap when they are written. */
  constructor(editor: ModuleEditor, heap: HeapTarget, form: HeaderForm) {
    this.#heap = heap;
    this.#form = form;
    this.#before = form.rust ? BEFORE_RUST : BEFORE_C;
    this.#turn = form.word === "trial" ? editor.addGlobal(I32, true, 0) : -1;
    for (const [name, emit] of Object.entries(this.#bodies()) as [HeapFunction, Emit][]) {
      const results = i32s(name === "free" ? 0 : 1);
      const params = i32s(heapFunctions[name]);
      const index = editor.addFunction(`terrane.headed.${name}`, params, results, emit);
      this.#functions.set(name, index);
    }
  }

  call(code: CodeWriter, name: HeapFunction): void {
    code.call(this.#functions.get(name) as number);
  }

  end(code: CodeWriter, name: HeapFunction, locals: readonly number[]): void {
    for (const local of locals) code.get(local);
    this.call(code, name);
  }

  #bodies(): Record<HeapFunction, Emit> {
    return {
      malloc: (code) => this.#fresh(code, "malloc"),
      zalloc: (code) => this.#fresh(code, "zalloc"),
      free: (code) => this.#free(code),
      calloc: (code) => {
        this.#product(code, 0);
        this.call(code, "zalloc");
      },
      realloc: (code) => this.#resized(code, "realloc"),
      reallocarray: (code) => {
        code.get(0);
        this.#product(code, 1);
        this.call(code, "realloc");
      },
      memalign: (code) => {
        code.const(0).get(1).get(0).const(0);
        this.call(code, "realloc_aligned_at");
      },
      realloc_aligned_at: (code) => this.#resized(code, "realloc_aligned_at"),
      malloc_usable_size: (code) => this.#usable(code),
    };
  }

  #fresh(code: CodeWriter, name: "malloc" | "zalloc"): void {
    this.#total(code, 0);
    this.#heap.call(code, name);
    this.#head(code);
  }

  #free(code: CodeWriter): void {
    code.get(0).if();
    this.#base(code);
    this.#heap.call(code, "free");
    code.end();
  }

  /** Parameters: block, size, and for the aligned form the alignment and an offset, which is 0. */
  #resized(code: CodeWriter, name: "realloc" | "realloc_aligned_at"): void {
    code.const(0);
    this.#base(code);
    code.get(0).op(op.i32Eqz, op.select);
    this.#total(code, 1);
    if (name === "realloc_aligned_at") code.get(2).const(this.#before);
    this.#heap.call(code, name);
    this.#head(code);
  }

  #usable(code: CodeWriter): void {
    code.get(0).op(op.i32Eqz).if().const(0).op(op.return).end();
    this.#base(code);
    this.#heap.call(code, "malloc_usable_size");
    code.const(this.#before).op(op.i32Sub);
  }

  /** Pushes the address of the heap's block of parameter 0. */
  #base(code: CodeWriter): void {
    code.get(0).const(this.#before).op(op.i32Sub);
  }

  /** Pushes the product of a parameter and the next one; the largest number if it is larger. */
  #product(code: CodeWriter, first: number): void {
    const product = code.local("product", I64);
    code.get(first).op(op.i64ExtendI32U);
    code
      .get(first + 1)
      .op(op.i64ExtendI32U, op.i64Mul)
      .set(product);
    code.const(-1).get(product).op(op.i32WrapI64).get(product).get(product);
    code.op(op.i32WrapI64, op.i64ExtendI32U, op.i64Ne, op.select);
  }

  /** Pushes how many bytes the heap is asked for, and keeps the size of the chunk. */
  #total(code: CodeWriter, size: number): void {
    const chunk = chunkLocal(code);
    code.get(size).const(CHUNK_MORE).op(op.i32Add).const(CHUNK_MASK).op(op.i32And).tee(chunk);
    code.const(CHUNK_LEAST).get(chunk).const(CHUNK_LEAST).op(op.i32GtU, op.select).set(chunk);
    code.const(-1);
    if (this.#form.rust) code.get(size).const(BEFORE_RUST).op(op.i32Add);
    else code.get(chunk).const(C_ROUND).op(op.i32Add).const(~15).op(op.i32And);
    code.get(size).const(SIZE_MOST).op(op.i32GtU, op.select);
  }

  /** Turns the heap's block on the stack into one with a header; null stays null. */
  #head(code: CodeWriter): void {
    const block = code.local("headed block", I32);
    code.tee(block).op(op.i32Eqz).if().const(0).op(op.return).end();
    code.get(block);
    this.#word(code);
    code.access(op.i32Store, this.#before - WORD_BYTES);
    code.get(block).const(this.#before).op(op.i32Add);
  }

  #word(code: CodeWriter): void {
    const { word } = this.#form;
    if (word === "trial") {
      code.with(op.globalGet, this.#turn).const(-1).op(op.i32Xor).with(op.globalSet, this.#turn);
      code.with(op.globalGet, this.#turn);
    } else code.get(chunkLocal(code)).const(IN_USE).op(op.i32Or);
  }
}
