/** What code that follows definedness needs: facts of the module, added functions and globals. */

import type { Module } from "../module/module.ts";
import type { TestFunctions } from "./numbers.ts";

/** What an undefined value decides, as reports say it; the code has the index. */
export const USES = ["a condition", "an address", "a size", "a call of the host"] as const;
export const CONDITION = 0;
export const ADDRESS = 1;
export const SIZE = 2;
export const HOST_CALL = 3;

/** Arguments beyond this number count as defined. */
export const ARGUMENTS = 16;

/** Indices in the new module of the functions and globals that follow definedness. */
export interface DefinedFunctions {
  readonly tests: TestFunctions;
  /** (origin, use): an undefined value decides something. */
  readonly report: number;
  /**
   * (address, size) → origin: finds out whether the host has written bytes that seem undefined,
   * and where those that are undefined were read first.
   */
  readonly settle: number;
  /** (address, size, origin): an undefined value was stored. */
  readonly keep: number;
  /** (target, source, length): memory was copied. */
  readonly copy: number;
  /** (address, size): a new frame on the stack. */
  readonly frame: number;
  /** Global: the number of the type of the function whose arguments have undefined bits, or 0. */
  readonly callee: number;
  /** Globals: undefined bits of arguments and of a result, and their origins. */
  readonly arguments: readonly number[];
  readonly argumentOrigin: number;
  readonly result: number;
  readonly resultOrigin: number;
}

export interface FlowSetting {
  readonly module: Module;
  readonly functions: DefinedFunctions;
  /** Address of the undefined bits of address 0. */
  readonly base: number;
  /** By the index of a type: a number from 1 on, the same for equal types. */
  readonly typeNumbers: readonly number[];
  /** Whether definedness is followed in a function. */
  readonly isFollowed: (index: number) => boolean;
  /** Whether a function in which it is not may be passed undefined arguments. */
  readonly isLenient: (index: number) => boolean;
  /** The global with LLVM's stack pointer, or -1. */
  readonly stackPointer: number;
}
