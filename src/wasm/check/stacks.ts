/** Call stacks: taken from the engine's Error, kept as numbers, resolved only when one is shown. */

/** A call: an offset in the checked module, or a line of JavaScript. */
export type RawFrame =
  | { readonly index: number; readonly offset: number }
  | { readonly js: string };

const FRAMES_MOST = 32;
const CONTEXTS_MOST = 1 << 17;
const WASM_FRAME = /wasm-function\[(\d+)\]:0x([0-9a-f]+)/;

/** No stack: for calls from more contexts than are kept. */
const NO_STACK = 0;

export class Stacks {
  readonly #stacks: (readonly RawFrame[])[] = [[]];
  readonly #byContext = new Map<number, number>();
  readonly #byText = new Map<string, number>();

  /** The stack of the callers of a hook. The same context means the same latest calls. */
  ofContext(context: number): number {
    const known = this.#byContext.get(context);
    if (known !== undefined) return known;
    if (this.#byContext.size >= CONTEXTS_MOST) return NO_STACK;
    const stack = this.capture();
    // 0 is a call from JavaScript, whose callers have no context.
    if (context !== 0) this.#byContext.set(context, stack);
    return stack;
  }

  /** The stack as it is now. */
  capture(): number {
    const frames = framesNow();
    const text = framesText(frames);
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    this.#byText.set(text, this.#stacks.length);
    this.#stacks.push(frames);
    return this.#stacks.length - 1;
  }

  /** The stack of an error that the program has thrown. */
  framesOf(error: Error): readonly RawFrame[] {
    return framesRead(error.stack ?? "");
  }

  /** The two outermost calls of a stack, as text: the same for all that a call has led to. */
  outermost(stack: number): string {
    return framesText(this.frames(stack).slice(-2));
  }

  frames(stack: number): readonly RawFrame[] {
    return this.#stacks[stack] ?? [];
  }
}

function framesText(frames: readonly RawFrame[]): string {
  return frames.map((f) => ("js" in f ? f.js : `${f.index}:${f.offset}`)).join();
}

function stackNow(frames: number): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = frames;
  const text = new Error().stack ?? "";
  Error.stackTraceLimit = limit;
  return text;
}

function framesNow(): RawFrame[] {
  return framesRead(stackNow(FRAMES_MOST));
}

function framesRead(text: string): RawFrame[] {
  const frames: RawFrame[] = [];
  for (const line of text.split("\n").slice(1)) {
    const wasm = WASM_FRAME.exec(line);
    if (wasm)
      frames.push({ index: Number(wasm[1]), offset: Number.parseInt(wasm[2] as string, 16) });
    else if (/^\s+at /.test(line)) jsFrame(frames, line.replace(/^\s+at (?:async )?/, ""));
  }
  return frames;
}

function jsFrame(frames: RawFrame[], text: string): void {
  if (!isHidden(text) && text !== "<anonymous>") frames.push({ js: text });
}

/** Frames of the engine, of Node and of this package are of no use in a report. */
function isHidden(text: string): boolean {
  const file = text.slice(text.indexOf("(") + 1).replaceAll("\\", "/");
  own ??= ownFiles();
  return /^(node|wasm):/.test(file) || own.some((start) => file.startsWith(start));
}

/** How the names of this package's files begin in stacks. */
let own: readonly string[] | undefined;

/** This file's own frame: it names the file, the bundle, or under source maps the source. */
const HERE = /((?:file:|\/|[A-Za-z]:\/).*?)(wasm\/check\/stacks\.[jt]s|lib\/wasm\.js):\d+:\d+\)?$/;

function ownFiles(): readonly string[] {
  const [, folder, name] = HERE.exec(stackNow(1).trimEnd().replaceAll("\\", "/")) ?? [];
  if (folder === undefined || name === undefined) return [];
  const parts = name.startsWith("lib/") ? ["lib/wasm.js", "lib/cli", "cli.js"] : ["wasm/", "cli/"];
  return parts.map((part) => folder + part);
}
