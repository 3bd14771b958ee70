/** What is checked of the options of memory sources. */
import {
  builtInOption,
  flagOption,
  functionOption,
  type OptionCheck,
  optionOf,
} from "../common/option-table.ts";
import { bytesError } from "./source.ts";

/** An option that is a number of bytes. */
export function bytesOption(name: string): OptionCheck {
  return { name, refuse: (value) => bytesError(name, value) };
}

/** Of every source: where it begins, and how large it is and may be. */
const ofAll = [...["offset", "initial", "maximum"].map(bytesOption), flagOption("zeroed")];

/** Options of `arrayBuffer`. */
export const arrayBufferChecks: readonly OptionCheck[] = [
  ...ofAll,
  functionOption("growth"),
  builtInOption("buffer", "an ArrayBuffer", "ArrayBuffer"),
];

/** Options of `sharedArrayBuffer`. */
export const sharedArrayBufferChecks: readonly OptionCheck[] = [
  ...ofAll,
  functionOption("growth"),
  flagOption("growable"),
  builtInOption("buffer", "a SharedArrayBuffer", "SharedArrayBuffer"),
];

/** Options of `wasmMemory`. */
export const wasmMemoryChecks: readonly OptionCheck[] = [
  ...ofAll,
  functionOption("growth"),
  flagOption("shared"),
  builtInOption("memory", "a WebAssembly.Memory", "WebAssembly.Memory"),
];

/** Options of `osMemory`. */
export const osMemoryChecks: readonly OptionCheck[] = [
  ...["initial", "maximum"].map(bytesOption),
  functionOption("growth"),
  flagOption("hugePages"),
];

/** An option that is an object whose members are whole numbers. */
export function countsOption(name: string, ...members: readonly string[]): OptionCheck {
  const kind = `an object with whole numbers ${members.join(" and ")}`;
  return optionOf(name, kind, (value) => {
    if (typeof value !== "object" || value === null) return false;
    return members.every((member) => Number.isSafeInteger(Reflect.get(value, member)));
  });
}
