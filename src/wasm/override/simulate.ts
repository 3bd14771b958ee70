/**
 * The proof's second half: another allocator is put beneath the functions of the program that call
 * the proven ones. What then fails does not only call the allocator, but knows how it works.
 */
import { PAGES_MOST } from "../../common/constants.ts";
import type { AllocatorFunction } from "../allocators/roles.ts";
import { ModuleEditor } from "../module/editor.ts";
import type { Limits, Module } from "../module/module.ts";
import { readModule } from "../module/reader.ts";
import { Battery } from "../proof/battery.ts";
import { PairBattery } from "../proof/battery-more.ts";
import type { Proof, ProvenPair, TriedFunction } from "../proof/prove.ts";
import { scratchRewrite } from "../proof/rewrite.ts";
import { Scratch } from "../proof/scratch.ts";
import { FUEL } from "../proof/trial.ts";
import type { HeaderForm } from "./headers.ts";
import { mergeInto } from "./merge.ts";

/** Fuel of what a host runs before the program. */
const BEGIN_FUEL = 5_000_000;

/** A function that fails with another allocator beneath, and why. */
export interface SimulatedFailure {
  readonly index: number;
  readonly failure: string;
}

/**
 * Merges our heap into a copy of the module, and tests every proven function again.
 *
 * @param replaced the functions that get other bodies.
 * @returns the functions that fail; undefined if the module could not be made.
 */
export function simulate(
  module: Module,
  proof: Proof,
  replaced: readonly AllocatorFunction[],
  header: HeaderForm | undefined,
): SimulatedFailure[] | undefined {
  const scratch = scratchWith(module, proof.after, replaced, header);
  return scratch && proof.pair ? failuresOf(scratch, proof.functions, proof.pair) : undefined;
}

/** A module whose allocator was replaced, and how its heap begins. */
export interface Replaced {
  readonly bytes: Uint8Array;
  /** The function that makes the heap. */
  readonly begin: number;
  /** Whether the heap begins with the first call, when the program's constructors have run. */
  readonly late: boolean;
  /** Functions that nothing calls any more; their code is gone. */
  readonly unused: ReadonlySet<number>;
}

/**
 * Tests the proven functions of a module whose allocator was replaced.
 *
 * @returns the first failure in words; undefined if there is none.
 */
export function replacedTry(replaced: Replaced, proof: Proof): string | undefined {
  if (!proof.pair) return undefined;
  const scratch = scratchBegin(replaced, proof.after);
  if (!scratch) return "its heap does not begin";
  const { alloc, free } = proof.pair;
  const isThere = ({ index }: { index: number }) => !replaced.unused.has(index);
  if (!isThere(alloc) || !isThere(free)) return undefined;
  const [first] = failuresOf(scratch, proof.functions.filter(isThere), proof.pair);
  if (first === undefined) return undefined;
  const name = proof.functions.find((each) => each.index === first.index)?.name;
  return `${name}: ${first.failure}`;
}

function failuresOf(
  scratch: Scratch,
  functions: readonly TriedFunction[],
  pair: ProvenPair,
): SimulatedFailure[] {
  const battery = new PairBattery(new Battery(scratch), pair);
  return functions.flatMap((each) => {
    if (each.failure !== undefined) return [];
    const failure = battery.test(each);
    return failure === undefined ? [] : [{ index: each.index, failure }];
  });
}

function scratchWith(
  module: Module,
  after: number | undefined,
  replaced: readonly AllocatorFunction[],
  header: HeaderForm | undefined,
): Scratch | undefined {
  const editor = new ModuleEditor(module);
  const limits = limitsWide(module);
  const begin = mergeInto(editor, { functions: replaced, header, limits });
  editor.setMemory(limits);
  const { bytes } = editor.write();
  return scratchBegin({ bytes, begin, late: false, unused: new Set() }, after);
}

function scratchBegin(
  { bytes, begin, late }: Replaced,
  after: number | undefined,
): Scratch | undefined {
  const scratch = Scratch.open(scratchRewrite(readModule(bytes)));
  const constructors = () => {
    if (after !== undefined) scratch.call(after, BEGIN_FUEL, []);
  };
  if (late) constructors();
  if (scratch.call(begin, FUEL, []) !== 1) return undefined;
  if (!late) constructors();
  scratch.snapshot();
  return scratch;
}

/** A trial needs space, whatever the program may have. */
function limitsWide(module: Module): Limits {
  const { min, shared } = (module.memories[0] as { limits: Limits }).limits;
  return { min, max: shared ? PAGES_MOST : undefined, shared, is64: false };
}
