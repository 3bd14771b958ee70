/** A module that touches memory in the ways that differ at a page which is inaccessible. */

export interface Probe {
  load(at: number): number;
  store(at: number, value: number): void;
  fill(at: number, bytes: number): void;
  atomicAdd(at: number, value: number): number;
  /** memory.grow from inside. */
  grow(slices: number): number;
  /** Writes `bytes` bytes from `at` on in a loop; traps where it may not. */
  write(at: number, bytes: number): void;
}

const I32 = 0x7f;
const section = (id: number, ...items: number[][]) => {
  const body = [items.length, ...items.flat()];
  return [id, ...leb(body.length), ...body];
};
const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}

const code = {
  load: [0x20, 0, 0x28, 2, 0],
  store: [0x20, 0, 0x20, 1, 0x36, 2, 0],
  fill: [0x20, 0, 0x41, 7, 0x20, 1, 0xfc, 11, 0],
  atomicAdd: [0x20, 0, 0x20, 1, 0xfe, 0x1e, 2, 0],
  grow: [0x20, 0, 0x40, 0],
  // block loop: leave if bytes = 0; store 7; at += 1; bytes -= 1; again
  write: [
    ...[0x02, 0x40, 0x03, 0x40, 0x20, 1, 0x45, 0x0d, 1, 0x20, 0, 0x41, 7, 0x3a, 0, 0],
    ...[0x20, 0, 0x41, 1, 0x6a, 0x21, 0, 0x20, 1, 0x41, 1, 0x6b, 0x21, 1, 0x0c, 0, 0x0b, 0x0b],
  ],
};

/** 0: (i32) -> i32, 1: (i32, i32) -> nothing, 2: (i32, i32) -> i32 */
const typeOf = { load: 0, store: 1, fill: 1, atomicAdd: 2, grow: 0, write: 1 };

function probeBytes(shared: boolean): Uint8Array<ArrayBuffer> {
  const names = Object.keys(code) as (keyof typeof code)[];
  const limits = shared ? [3, 0, ...leb(65536)] : [0, 0];
  const bodies = names.map((each) => {
    const body = [0, ...code[each], 0x0b];
    return [...leb(body.length), ...body];
  });
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [0x60, 1, I32, 1, I32], [0x60, 2, I32, I32, 0], [0x60, 2, I32, I32, 1, I32]),
    ...section(2, [...name("env"), ...name("memory"), 2, ...limits]),
    ...section(3, ...names.map((each) => [typeOf[each]])),
    ...section(7, ...names.map((each, index) => [...name(each), 0, index])),
    ...section(10, ...bodies),
  ]);
}

export function probe(memory: WebAssembly.Memory): Probe {
  const module = new WebAssembly.Module(probeBytes(!(memory.buffer instanceof ArrayBuffer)));
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Probe;
}
