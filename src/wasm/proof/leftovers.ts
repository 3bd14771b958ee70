/** Who else touches the allocator's variables: pieces of it that are inlined in the program. */
import { KIND, type Module } from "../module/module.ts";
import type { FactTable } from "./facts.ts";
import type { CallGraph } from "./graph.ts";
import { readsHeader } from "./headers.ts";
import { type AllocatorState, statesPassed } from "./state.ts";

/** Whether a leftover only looks into headers, which blocks of another allocator can have, too. */
export function isReaderOnly({ accesses, callsHelper, takesState }: Leftover): boolean {
  return accesses === 0 && !callsHelper && !takesState;
}

/** A function that is not proven and touches what belongs to the allocator. */
export interface Leftover {
  readonly index: number;
  /** Its name in the module; `function 12` if it has none. */
  readonly name: string;
  /** How many of the allocator's variables it accesses. */
  readonly accesses: number;
  /** It calls private functions of the allocator. */
  readonly callsHelper: boolean;
  /** Its callers pass it an address of the allocator's variables. */
  readonly takesState: boolean;
  /** It calls the allocator, and looks into the headers of blocks itself. */
  readonly readsHeader: boolean;
  /** It runs only before the program: replacing the allocator makes it useless, not wrong. */
  readonly initialiser: boolean;
}

/** A function that was tried; it is proven if it has no failure. */
interface Tried {
  readonly index: number;
  readonly failure: string | undefined;
}

/** The leftovers, and the private functions of the allocator. */
export interface Leftovers {
  readonly list: readonly Leftover[];
  readonly helpers: ReadonlySet<number>;
}

export function leftoversFind(
  graph: CallGraph,
  facts: FactTable,
  state: AllocatorState,
  tried: readonly Tried[],
  after: number | undefined,
): Leftovers {
  const proven = new Set(tried.filter((each) => !each.failure).map((each) => each.index));
  const starts = constructorsOf(graph.module);
  if (after !== undefined) starts.add(after);
  const helpers = helpersOf(graph, proven, starts);
  const stateHelpers = new Set([...helpers].filter((index) => state.touches(index)));
  const { importedFunctions, bodies } = graph.module;
  const passed = statesPassed(facts, graph.module, state);
  const list: Leftover[] = [];
  for (let index = importedFunctions; index < importedFunctions + bodies.length; index++) {
    if (proven.has(index) || helpers.has(index)) continue;
    if (graph.distance[index] === 0 && state.isOfSources(index)) continue;
    const { accesses } = state.touch(index);
    const callees = graph.calls(index);
    const callsHelper = callees.some((each) => stateHelpers.has(each));
    const isUser = callees.some((each) => proven.has(each));
    const reads = isUser && readsHeader(graph.module, index);
    const takesState = [...(passed.get(index) ?? [])].some((at) => state.bytes.has(at));
    if (accesses === 0 && !callsHelper && !takesState && !reads) continue;
    const initialiser = isInitialiser(graph, index, starts);
    const touch = { accesses, callsHelper, takesState, readsHeader: reads };
    list.push({ index, name: `function ${index}`, ...touch, initialiser });
  }
  return { list, helpers };
}

/** Functions that only proven functions, other helpers and constructors call. */
function helpersOf(
  graph: CallGraph,
  proven: ReadonlySet<number>,
  starts: ReadonlySet<number>,
): Set<number> {
  const helpers = new Set<number>();
  const isInside = (index: number) => proven.has(index) || helpers.has(index) || starts.has(index);
  const isHelper = (index: number) =>
    index >= graph.module.importedFunctions &&
    !isInside(index) &&
    !graph.open.has(index) &&
    (graph.callers[index] as readonly number[]).every(isInside);
  let waiting = [...proven];
  while (waiting.length > 0) {
    const next = new Set(waiting.flatMap((index) => graph.calls(index)).filter(isHelper));
    for (const index of next) helpers.add(index);
    waiting = [...next];
  }
  return helpers;
}

/** Whether only the start function and exported constructors call a function. */
function isInitialiser(graph: CallGraph, index: number, starts: ReadonlySet<number>): boolean {
  if (starts.has(index)) return true;
  if (graph.open.has(index)) return false;
  const callers = graph.callers[index] as readonly number[];
  return callers.length > 0 && callers.every((caller) => starts.has(caller));
}

/** What a host or a linker calls before anything else. */
const CONSTRUCTOR = /^(_initialize|__wasm_call_ctors|__wasm_apply_\w+_relocs|__wasm_init_memory)$/;

function constructorsOf(module: Module): Set<number> {
  const isConstructor = (each: { kind: number; name: string }) =>
    each.kind === KIND.function && CONSTRUCTOR.test(each.name);
  const found = new Set(module.exports.filter(isConstructor).map((each) => each.index));
  if (module.start !== undefined) found.add(module.start);
  return found;
}
