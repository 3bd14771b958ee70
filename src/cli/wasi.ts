/** WASI for the programs that commands run. */
import type { WASI } from "node:wasi";
import { procExit, procRaise } from "./ending.ts";
import type { WasiFlags } from "./options.ts";

interface WasiSetting extends WasiFlags {
  readonly program: string;
  readonly args: readonly string[];
  /** The file descriptor that the program's standard output goes to. */
  readonly stdout?: number;
}

/** node:wasi, without its warning that it is experimental; signals end the program only. */
export async function wasiCreate(setting: WasiSetting): Promise<WASI> {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    const { WASI } = await import("node:wasi");
    const wasi = new WASI({
      version: "preview1",
      args: [setting.program, ...setting.args],
      env: { ...setting.env },
      preopens: { ...setting.dir },
      stdout: setting.stdout ?? 1,
      returnOnExit: true,
    });
    Object.assign(wasi.wasiImport, { proc_raise: procRaise, proc_exit: procExit });
    return wasi;
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** WASI's functions under both module names that toolchains use. */
export function wasiImports(functions: WebAssembly.ModuleImports): WebAssembly.Imports {
  return { wasi_snapshot_preview1: functions, wasi_unstable: functions };
}
