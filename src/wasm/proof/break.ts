/**
 * The break of a program whose memory JavaScript grows: the variable that says where its memory in
 * use ends. sbrk moves it, and asks an imported function when the memory is too small; optimisers
 * inline sbrk in malloc's helpers, so that no function is left that could be called for more.
 */
import { functionType } from "../module/module.ts";
import { op } from "../module/opcodes.ts";
import { hasInstruction } from "../module/reader.ts";
import { I32 } from "../module/value-types.ts";
import type { Battery } from "./battery.ts";
import type { FactTable } from "./facts.ts";
import type { CallGraph } from "./graph.ts";
import { argumentsOf, FUEL, type Trial } from "./trial.ts";

/** Calls from malloc to the code that moves the break. */
const DEPTH = 5;
/** What is allocated to see the break move: more than a program's allocator has in reserve. */
const STEP_BYTES = 1 << 20;
const STEPS = 3;

/** Where a program keeps its break, and the function that it asks for more memory. */
export interface ProgramBreak {
  /** The address of the variable. */
  readonly address: number;
  /** The imported function that takes the size the memory is to have, and returns a success. */
  readonly grow: number;
}

/** Finds the break by looking which variable moves when malloc needs memory. */
export function breakFind(
  battery: Battery,
  graph: CallGraph,
  facts: FactTable,
  alloc: Trial,
): ProgramBreak | undefined {
  const { module } = graph;
  const inside = [...graph.closure(alloc.index, DEPTH)].filter(
    (index) => index >= module.importedFunctions,
  );
  const askers = inside.filter((index) => hasInstruction(module, index, op.memorySize));
  const hosts = new Set(askers.flatMap((index) => graph.calls(index)).filter(isHost));
  const [grow, second] = hosts;
  if (grow === undefined || second !== undefined) return undefined;
  const addresses = new Set(
    askers.flatMap((index) => {
      const { loads, stores } = facts.of(index);
      return [...loads].filter((at) => stores.has(at) && at % 4 === 0);
    }),
  );
  const [address, other] = [...addresses].filter((at) => moves(battery, alloc, at));
  return address === undefined || other !== undefined ? undefined : { address, grow };

  function isHost(index: number): boolean {
    if (index >= module.importedFunctions) return false;
    const { params, results } = functionType(module, index);
    return `${params}>${results}` === `${I32}>${I32}`;
  }
}

/** Whether a variable grows by what is allocated, and stays within the memory. */
function moves(battery: Battery, alloc: Trial, address: number): boolean {
  const { scratch } = battery;
  scratch.restore();
  let last = scratch.word(address);
  if (last === 0 || last > scratch.size) return false;
  for (let step = 0; step < STEPS; step++) {
    scratch.call(alloc.index, FUEL, argumentsOf(alloc, { size: STEP_BYTES }));
    const now = scratch.word(address);
    if (now - last < STEP_BYTES || now > scratch.size) return false;
    last = now;
  }
  return true;
}
