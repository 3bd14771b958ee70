/** mimalloc's C functions that are about the process and not about a heap. */
import type { AbiFunction } from "./abi.ts";
import { options } from "./report.ts";
import { type RuntimeOption, runtimeOptions } from "./runtime-options.ts";

/** The version of mimalloc whose functions and behaviour these are: 2.1.2. */
const MIMALLOC_VERSION = 212;

/** Options by mimalloc's numbers; a number that no option has answers 0 and sets nothing. */
export function processAbi(): Record<string, AbiFunction> {
  return {
    mi_version: () => MIMALLOC_VERSION,
    mi_process_init: () => {},
    mi_thread_init: () => {},
    mi_is_redirected: () => 0,
    mi_option_get: (option = 0) => valueOf(option),
    mi_option_get_clamp: (option = 0, min = 0, max = 0) =>
      Math.max(min, Math.min(max, valueOf(option))),
    mi_option_get_size: (option = 0) => Math.min(Math.max(0, valueOf(option)) * 1024, 0xffffffff),
    mi_option_is_enabled: (option = 0) => Number(valueOf(option) !== 0),
    mi_option_set: (option = 0, value = 0) =>
      withOption(option, (name) => options.set(name, value)),
    mi_option_set_default: (option = 0, value = 0) =>
      withOption(option, (name) => options.setDefault(name, value)),
    mi_option_set_enabled: (option = 0, on = 0) =>
      withOption(option, (name) => options.setEnabled(name, on !== 0)),
    mi_option_set_enabled_default: (option = 0, on = 0) =>
      withOption(option, (name) => options.setEnabledDefault(name, on !== 0)),
    mi_option_enable: (option = 0) => withOption(option, (name) => options.enable(name)),
    mi_option_disable: (option = 0) => withOption(option, (name) => options.disable(name)),
  };
}

function valueOf(option: number): number {
  const row = runtimeOptions[option];
  return row ? options.get(row.name) : 0;
}

function withOption(option: number, act: (name: RuntimeOption) => void): void {
  const row = runtimeOptions[option];
  if (row) act(row.name);
}
