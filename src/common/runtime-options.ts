/**
 * The options of mimalloc: one table of their names, defaults and effects, how the environment says
 * them, and what each is at the moment. Values are whole numbers; 0 is off.
 */
import { wrongKind } from "./errors.ts";

interface Row {
  readonly name: string;
  readonly initial: number;
  /** mimalloc's older name. */
  readonly legacy?: string;
  /** The value counts KiB, and the environment may say it with a unit. */
  readonly size?: true;
}

/**
 * In the order of mimalloc's numbers, which C programs use. What each does: see
 * runtime-option-texts.ts, which no program loads.
 */
export const runtimeOptions = [
  { name: "showErrors", initial: 0 },
  { name: "showStats", initial: 0 },
  { name: "verbose", initial: 0 },
  { name: "eagerCommit", initial: 1 },
  { name: "arenaEagerCommit", initial: 2, legacy: "eagerRegionCommit" },
  { name: "purgeDecommits", initial: 1, legacy: "resetDecommits" },
  { name: "allowLargeOsPages", initial: 0, legacy: "largeOsPages" },
  { name: "reserveHugeOsPages", initial: 0 },
  { name: "reserveHugeOsPagesAt", initial: -1 },
  { name: "reserveOsMemory", initial: 0, size: true },
  { name: "deprecatedSegmentCache", initial: 0 },
  { name: "deprecatedPageReset", initial: 0 },
  { name: "abandonedPagePurge", initial: 0, legacy: "abandonedPageReset" },
  { name: "deprecatedSegmentReset", initial: 0 },
  { name: "eagerCommitDelay", initial: 1 },
  { name: "purgeDelay", initial: 10, legacy: "resetDelay" },
  { name: "useNumaNodes", initial: 0 },
  { name: "limitOsAlloc", initial: 0 },
  { name: "osTag", initial: 100 },
  { name: "maxErrors", initial: 16 },
  { name: "maxWarnings", initial: 16 },
  { name: "maxSegmentReclaim", initial: 8 },
  { name: "destroyOnExit", initial: 0 },
  { name: "arenaReserve", initial: 131072, size: true },
  { name: "arenaPurgeMult", initial: 10 },
  { name: "purgeExtendDelay", initial: 1, legacy: "decommitExtendDelay" },
] as const satisfies Row[];

/** The name of an option of the process: docs/reference/options.md describes each. */
export type RuntimeOption = (typeof runtimeOptions)[number]["name"];

/** A record of strings, as process.env is one. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** purgeDelay as C and the environment write it: purge_delay. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** What the environment may say at most. */
const VALUE_CHARACTERS = 64;
const ON = "1;TRUE;YES;ON";
const OFF = "0;FALSE;NO;OFF";

/**
 * The number that a text of the environment stands for, or undefined. As in mimalloc any part of
 * the lists above says on or off, "E" as much as nothing at all.
 */
export function optionParse(text: string, size = false): number | undefined {
  const value = text.slice(0, VALUE_CHARACTERS).toUpperCase();
  if (ON.includes(value)) return 1;
  if (OFF.includes(value)) return 0;
  const [whole, digits, unit] = /^[ \t-\r]*([+-]?\d+)([KMG]?(?:IB|B)?)$/.exec(value) ?? [];
  if (whole === undefined || (unit !== "" && !size)) return undefined;
  const number = Number(digits);
  return saturate(size ? inKib(number, (unit as string)[0]) : number);
}

/** What stands without a unit is bytes, and rounded up. */
function inKib(value: number, unit: string | undefined): number {
  if (unit === "K") return value;
  if (unit === "M") return value * 1024;
  return unit === "G" ? value * 1048576 : Math.trunc((value + 1023) / 1024);
}

/** Into what a number holds exactly; -0 becomes 0. */
function saturate(value: number): number {
  const limit = Number.MAX_SAFE_INTEGER;
  return Math.max(-limit, Math.min(limit, value)) + 0;
}

/** Where a value comes from decides what may replace it. */
type State = "unread" | "default" | "set";

/**
 * The options of this thread, by name. The environment is read when an option is first asked for:
 * `TERRANE_PURGE_DELAY` or `MIMALLOC_PURGE_DELAY` for `purgeDelay`, in letters of any case, the
 * first of the two winning. Unknown names throw a TypeError that lists the known ones.
 *
 * @example
 * options.set("maxErrors", 100);
 * options.enable("showErrors");
 */
export class RuntimeOptions {
  readonly #values = new Map<string, number>();
  readonly #states = new Map<string, State>();
  readonly #environment: () => Environment;
  readonly #warn: (text: string, option: RuntimeOption) => void;

  /** There is one for all, `options`. */
  constructor(environment: () => Environment, warn: (text: string, option: RuntimeOption) => void) {
    this.#environment = environment;
    this.#warn = warn;
    for (const { name, initial } of runtimeOptions) this.#values.set(name, initial);
  }

  /** The names of all options, in the order of the numbers that C programs use. */
  get names(): readonly RuntimeOption[] {
    return runtimeOptions.map((row) => row.name);
  }

  /** The value as it is now. */
  get(name: RuntimeOption): number {
    const row = rowOf(name);
    if (this.#state(name) === "unread") this.#read(row, this.#environment());
    return this.#values.get(name) as number;
  }

  /** The value, but at least `min` and at most `max`. */
  getClamp(name: RuntimeOption, min: number, max: number): number {
    checkValue(min);
    checkValue(max);
    return Math.max(min, Math.min(max, this.get(name)));
  }

  /**
   * The bytes of an option that counts KiB; negative values are 0.
   *
   * @throws TypeError for any other option.
   */
  getSize(name: RuntimeOption): number {
    if (!rowOf(name).size) throw new TypeError(`${name} is not a size`);
    return Math.max(0, this.get(name)) * 1024;
  }

  /** Whether the value is not 0. */
  isEnabled(name: RuntimeOption): boolean {
    return this.get(name) !== 0;
  }

  /** Sets a value for good: the environment does not matter any more. */
  set(name: RuntimeOption, value: number): void {
    rowOf(name);
    checkValue(value);
    this.#values.set(name, value);
    this.#states.set(name, "set");
  }

  /** Sets what holds if neither `set` nor the environment says something else. */
  setDefault(name: RuntimeOption, value: number): void {
    rowOf(name);
    checkValue(value);
    if (this.#state(name) !== "set") this.#values.set(name, value);
  }

  /** Sets 1 or 0 for good. */
  setEnabled(name: RuntimeOption, enabled: boolean): void {
    this.set(name, Number(enabled));
  }

  /** Sets 1 or 0 as `setDefault` does. */
  setEnabledDefault(name: RuntimeOption, enabled: boolean): void {
    this.setDefault(name, Number(enabled));
  }

  /** Sets 1 for good. */
  enable(name: RuntimeOption): void {
    this.set(name, 1);
  }

  /** Sets 0 for good. */
  disable(name: RuntimeOption): void {
    this.set(name, 0);
  }

  /**
   * Takes every option that a record has as the environment would have it, for places that have
   * none, as browsers; what the record has counts as set.
   *
   * @example
   * options.load({ TERRANE_VERBOSE: "1" });
   */
  load(environment: Environment): void {
    for (const row of runtimeOptions) this.#read(row, environment);
  }

  #state(name: RuntimeOption): State {
    return this.#states.get(name) ?? "unread";
  }

  /** The state changes before any warning: that asks for options too. */
  #read(row: Row, environment: Environment): void {
    const name = row.name as RuntimeOption;
    if (this.#state(name) === "unread") this.#states.set(name, "default");
    const found = lookUp(row, environment);
    if (!found) return;
    if (found.warning) this.#warn(found.warning, name);
    const value = optionParse(found.text, row.size);
    if (value !== undefined) this.set(name, value);
    else this.#warn(`environment option ${found.key} has an invalid value.`, name);
  }
}

interface Found {
  /** The name in lower case, with the prefix that was used. */
  key: string;
  prefix: string;
  text: string;
  warning?: string;
}

const PREFIXES = ["terrane_", "mimalloc_"];

/** What the environment says of an option, under its name or under its older one. */
function lookUp({ name, legacy }: Row, environment: Environment): Found | undefined {
  const use = snakeCase(name);
  const found = variable(environment, use);
  if (found || legacy === undefined) return found;
  const old = variable(environment, snakeCase(legacy));
  if (!old) return undefined;
  const better = old.prefix + use;
  return {
    ...old,
    warning: `environment option "${old.key}" is deprecated -- use "${better}" instead.`,
  };
}

/** The first variable of that name, in letters of any case, under the first prefix that has one. */
function variable(environment: Environment, option: string): Found | undefined {
  const names = namesIn(environment);
  for (const prefix of PREFIXES) {
    const key = prefix + option;
    const name = names.find((each) => each.length === key.length && each.toLowerCase() === key);
    const text = name === undefined ? undefined : environment[name];
    if (text !== undefined) return { key, prefix, text };
  }
  return undefined;
}

/** Deno throws where a program may not read its environment: then it has no options. */
function namesIn(environment: Environment): string[] {
  try {
    return Object.keys(environment);
  } catch {
    return [];
  }
}

function rowOf(name: string): Row {
  const row = runtimeOptions.find((each) => each.name === name);
  if (row) return row;
  const known = runtimeOptions.map((each) => each.name).join(", ");
  throw new TypeError(`unknown option ${String(name)}; known: ${known}`);
}

function checkValue(value: number): void {
  if (typeof value !== "number") {
    throw wrongKind("value", "a number", value);
  }
  if (!Number.isSafeInteger(value)) throw new RangeError(`value must be whole, not ${value}`);
}
