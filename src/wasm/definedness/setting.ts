/** What following the definedness of a module's values needs to know, and has put into it. */

import type { Module } from "../module/module.ts";
import type { TestFunctions } from "./numbers.ts";

/** What a value decides, as reports say it, and its number in the new code. */
export const USES = ["a condition", "an address", "a size", "a call of the host"] as const;
export const CONDITION = 0;
export const ADDRESS = 1;
export const SIZE = 2;
export const HOST_CALL = 3;

/** Arguments beyond this number count as defined. */
export const ARGUMENTS = 16;

/** Indices in the new module of what the code of functions needs. */
export interface DefinedFunctions {
  readonly tests: TestFunctions;
  /** (origin, use): an undefined value decides something. */
  readonly report: number;
  /**
   * (address, size) → origin: looks whether bytes that seem undefined have been written by the
   * host, and where those that are were read first.
   */
  readonly settle: number;
  /** (address, size, origin): something undefined has been stored. */
  readonly keep: number;
  /** (target, source, length): memory has been copied. */
  readonly copy: number;
  /** (address, size): a new frame on the stack. */
  readonly frame: number;
  /** Global: the number of the type of the function whose arguments have undefined bits; or 0. */
  readonly callee: number;
  /** Globals: undefined bits of arguments and of a result, and where they were read. */
  readonly arguments: readonly number[];
  readonly argumentOrigin: number;
  readonly result: number;
  readonly resultOrigin: number;
}

export interface FlowSetting {
  readonly module: Module;
  readonly functions: DefinedFunctions;
  /** Where the undefined bits of address 0 lie. */
  readonly base: number;
  /** Numbers from 1 on, by type index: the same for types that are the same. */
  readonly typeNumbers: readonly number[];
  /** Whether a function keeps the books of definedness. */
  readonly isFollowed: (index: number) => boolean;
  /** Whether a function that does not may be handed undefined arguments. */
  readonly isLenient: (index: number) => boolean;
  /** The global with LLVM's stack pointer, or -1. */
  readonly stackPointer: number;
}
