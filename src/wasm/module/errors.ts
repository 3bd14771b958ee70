/** What can be wrong with a module that is read: one error for all, with the place in the file. */

export type ModuleErrorCode = "ERR_MODULE_DAMAGED" | "ERR_MODULE_UNSUPPORTED";

/** A file that is no WebAssembly module, is damaged, or needs what these tools do not know. */
export class ModuleError extends Error {
  override readonly name = "ModuleError";
  /** What kind of trouble it is, for programs. */
  readonly code: ModuleErrorCode;
  /** Byte of the file where reading stopped. */
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
