/**
 * The calls of the operating system, through koffi. It is loaded at the first use and not before:
 * most programs do not need native code, and many do not have koffi.
 */

/** Addresses are numbers, because a process has at most 2^48 bytes of them. Results are as in C. */
export interface Native {
  readonly mmap: (
    address: number,
    bytes: number,
    access: number,
    flags: number,
    fd: number,
    offset: number,
  ) => number;
  readonly munmap: (address: number, bytes: number) => number;
  readonly madvise: (address: number, bytes: number, advice: number) => number;
  readonly mprotect: (address: number, bytes: number, access: number) => number;
  readonly mincore: (address: number, bytes: number, into: Uint8Array | bigint) => number;
  readonly memset: (address: number, byte: number, bytes: number) => number;
  readonly memchr: (address: number, byte: number, bytes: number) => number;
  readonly sigaction: (signal: number, act: Uint8Array | null, old: Uint8Array | null) => number;
  readonly movePages: (
    pid: number,
    count: number,
    pages: BigUint64Array,
    nodes: null,
    status: Int32Array,
    flags: number,
  ) => number;
  readonly sysconf: (name: number) => number;
  /** errno of the last call, if it failed. */
  errno(): number;
  /** Address of the bytes of a view; 0 if its buffer is detached. */
  addressOf(view: ArrayBufferView): number;
  /** The bytes at an address as an ArrayBuffer, which does not keep the memory mapped. */
  view(address: number, bytes: number): ArrayBuffer;
  /** The address of an exported symbol of the running program, or 0. */
  symbol(name: string): number;
}

/** There are no native calls. */
interface NativeMissing {
  /** Why, in a sentence. */
  readonly missing: string;
}

/** The part of koffi that is used. Its own declarations are not, so users need not have them. */
interface Koffi {
  load(path: null): KoffiLibrary;
  address(view: ArrayBufferView): bigint;
  view(address: bigint, bytes: number): ArrayBuffer;
  errno(): number;
}

interface KoffiLibrary {
  func(name: string, result: string, parameters: string[]): (...values: unknown[]) => number;
  symbol(name: string): bigint;
}

/** The architectures that the numbers of constants.ts hold on. */
const ARCHITECTURES = ["x64", "arm64", "riscv64", "loong64"];

let known: { from: string; found: Native | NativeMissing } | undefined;

/** The calls of the operating system, or why there are none. Looks for koffi once. */
export function findNative(): Native | NativeMissing {
  const from = nodeProcess()?.env?.TERRANE_KOFFI ?? "koffi";
  if (known?.from !== from) known = { from, found: nativeLoad(from) };
  return known.found;
}

/**
 * Node's `process`, without an import, so that bundles for browsers need no replacement for it. Not
 * in the declarations, so that they need none of Node's.
 *
 * @internal
 */
export function nodeProcess(): NodeJS.Process | undefined {
  return (globalThis as { process?: NodeJS.Process }).process;
}

function nativeLoad(from: string): Native | NativeMissing {
  const process = nodeProcess();
  const module = process?.getBuiltinModule?.("node:module");
  if (!process || !module) return { missing: "OS pages need Node 20.16 or newer" };
  const { platform, arch } = process;
  if (platform !== "linux") return { missing: `OS pages work on Linux, not yet on ${platform}` };
  if (!ARCHITECTURES.includes(arch)) return { missing: `OS pages do not know Linux on ${arch}` };
  try {
    return nativeOf(module.createRequire(import.meta.url || `${process.cwd()}/`)(from) as Koffi);
  } catch (error) {
    return { missing: whyNot(from, error as NodeJS.ErrnoException) };
  }
}

function whyNot(from: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === "MODULE_NOT_FOUND") return "koffi is not installed (npm install koffi)";
  return `${from} does not load: ${message.split("\n")[0]}`;
}

/** errno is that of the last call: calls of koffi itself do not change it. */
function nativeOf(koffi: Koffi): Native {
  const libc = koffi.load(null);
  const at = "uintptr_t";
  return {
    mmap: libc.func("mmap", "intptr_t", [at, "size_t", "int", "int", "int", "int64_t"]),
    munmap: libc.func("munmap", "int", [at, "size_t"]),
    madvise: libc.func("madvise", "int", [at, "size_t", "int"]),
    mprotect: libc.func("mprotect", "int", [at, "size_t", "int"]),
    mincore: libc.func("mincore", "int", [at, "size_t", "void *"]),
    memset: libc.func("memset", "intptr_t", [at, "int", "size_t"]),
    memchr: libc.func("memchr", "intptr_t", [at, "int", "size_t"]),
    sigaction: libc.func("sigaction", "int", ["int", "void *", "void *"]),
    movePages: movePagesOf(libc),
    sysconf: libc.func("sysconf", "long", ["int"]),
    errno: () => koffi.errno(),
    addressOf: (view) => Number(koffi.address(view)),
    view: (address, bytes) => koffi.view(BigInt(address), bytes),
    symbol: (name) => symbolOf(libc, name),
  };
}

/** Number of the system call move_pages, on x86-64 and elsewhere. */
const MOVE_PAGES = { x64: 279, other: 239 };

/** By the number of the system call, because no libc has a function for it. */
function movePagesOf(libc: KoffiLibrary): Native["movePages"] {
  const types = ["long", "int", "size_t", "void *", "void *", "void *", "int"];
  const syscall = libc.func("syscall", "long", types);
  const number = nodeProcess()?.arch === "x64" ? MOVE_PAGES.x64 : MOVE_PAGES.other;
  return (...values) => syscall(number, ...values);
}

function symbolOf(libc: KoffiLibrary, name: string): number {
  try {
    return Number(libc.symbol(name));
  } catch {
    return 0;
  }
}
