/** The error for everything that can be wrong with a module that is read. */

/**
 * `ERR_MODULE_DAMAGED`: the bytes are not a module. `ERR_MODULE_UNSUPPORTED`: the module needs
 * something that these tools do not handle.
 */
export type ModuleErrorCode = "ERR_MODULE_DAMAGED" | "ERR_MODULE_UNSUPPORTED";

/**
 * The file is not a WebAssembly module, is damaged, or needs something that these tools do not
 * handle. The message begins with the offset in hexadecimal.
 */
export class ModuleError extends Error {
  /** The name of the class, as errors print it. */
  override readonly name = "ModuleError";
  /** Whether the file is damaged or not supported. */
  readonly code: ModuleErrorCode;
  /** Offset in the file of the byte where reading stopped. */
  readonly offset: number;

  constructor(code: ModuleErrorCode, offset: number, message: string) {
    super(`byte 0x${offset.toString(16)}: ${message}`);
    this.code = code;
    this.offset = offset;
  }
}

export function damaged(offset: number, message: string): ModuleError {
  return new ModuleError("ERR_MODULE_DAMAGED", offset, message);
}

export function unsupported(offset: number, message: string): ModuleError {
  return new ModuleError("ERR_MODULE_UNSUPPORTED", offset, `not supported: ${message}`);
}
