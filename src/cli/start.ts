/** Makes instances of the programs that commands run. */
import { UsageError } from "./usage.ts";

/** Where node:wasi begins: before, it refuses every call. */
const EARLY = "ERR_WASI_NOT_STARTED";

/**
 * Compiles a program and runs its start function.
 * @throws UsageError if WASI or the engine does not have what it needs; what its code throws.
 */
export async function instanceCreate(
  path: string,
  bytes: Uint8Array<ArrayBuffer>,
  imports: WebAssembly.Imports,
): Promise<WebAssembly.Instance> {
  try {
    return await WebAssembly.instantiate(await WebAssembly.compile(bytes), imports);
  } catch (error) {
    throw startFault(path, error);
  }
}

function startFault(path: string, error: unknown): unknown {
  if ((error as NodeJS.ErrnoException | undefined)?.code === EARLY) {
    return new UsageError(`${path}: its start function calls WASI, which begins with _start`);
  }
  const isRefused =
    error instanceof WebAssembly.LinkError || error instanceof WebAssembly.CompileError;
  if (!isRefused) return error;
  const text = error.message.replace(/^WebAssembly\.\w+\(\)(: )?/, "");
  return new UsageError(`${path}: cannot be started: ${text}`);
}
