/** The benchmark: allocators times workloads, each allocator and round in its own process. */
import { parseArgs } from "node:util";
import { type Allocator, allocatorNamed, allocators, type Mode } from "./allocators.ts";
import { workloadNames } from "./catalogue.ts";
import {
  chosenAllocators,
  chosenNames,
  chosenRounds,
  csvOf,
  figuresOf,
  inTurn,
  mainRun,
  resultsName,
  runAll,
} from "./driver.ts";
import { fromRoot } from "./paths.ts";
import { engine, machine, tables, write } from "./report.ts";
import { checksumConflicts, Results } from "./results.ts";
import type { Task } from "./serve.ts";

const HELP = `usage: npm run bench -- [options]

  --allocator a,b   of: ${allocators.map((allocator) => allocator.name).join(", ")}
  --workload x,y    of: ${workloadNames().join(", ")}
  --mode wasm|js    called from WebAssembly or from JavaScript; both unless given
  --rounds N        processes for each allocator and mode (5)
  --json            figures as JSON on standard output instead of tables
  --out FILE        CSV file (bench/results/DATE-nodeMAJOR-MODE.csv)
  --help
`;

const OPTIONS = {
  allocator: { type: "string" },
  workload: { type: "string" },
  mode: { type: "string" },
  rounds: { type: "string", default: "5" },
  json: { type: "boolean", default: false },
  out: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

interface Plan {
  readonly modes: readonly Mode[];
  readonly allocators: readonly Allocator[];
  readonly workloads: readonly string[];
  readonly rounds: number;
}

function chosenModes(mode: string | undefined): Mode[] {
  if (mode === undefined) return ["wasm", "js"];
  if (mode !== "wasm" && mode !== "js") throw new Error(`unknown mode: ${mode}`);
  return [mode];
}

function tasksOf(plan: Plan): Task[] {
  const tasks: Task[] = [];
  for (let round = 0; round < plan.rounds; round++)
    for (const mode of plan.modes) tasks.push(...turn(plan, mode, round));
  return tasks;
}

function turn(plan: Plan, mode: Mode, round: number): Task[] {
  const able = plan.allocators.filter((allocator) => allocator.modes.includes(mode));
  return inTurn(able, round).map(({ name, workloads }) => {
    const wanted = plan.workloads.filter((workload) => workloads?.includes(workload) ?? true);
    return { allocator: name, mode, workloads: wanted };
  });
}

function writeCsv(results: Results, modes: readonly Mode[], out: string | undefined): string[] {
  const date = new Date();
  if (out !== undefined) {
    write(out, csvOf(results, modes, date));
    return [out];
  }
  return modes.map((mode) => {
    const file = fromRoot(resultsName(mode, date));
    write(file, csvOf(results, [mode], date));
    return file;
  });
}

function print(results: Results, plan: Plan, json: boolean): void {
  if (json) {
    const figures = plan.modes.flatMap((mode) => figuresOf(results, mode));
    console.log(JSON.stringify({ engine: engine(), machine: machine(), figures }, null, 2));
    return;
  }
  for (const mode of plan.modes) {
    const able = plan.allocators.filter((allocator) => allocator.modes.includes(mode));
    const names = able.map((allocator) => allocator.name);
    console.log(tables({ results, mode, allocators: names, workloads: plan.workloads }));
  }
}

function failures(results: Results): string[] {
  const failed = results.cells().filter((cell) => cell.error !== undefined);
  const surprising = failed.filter(
    (cell) => !allocatorNamed(cell.allocator).knownFailures?.includes(cell.workload),
  );
  return surprising.map((c) => `${c.allocator} (${c.mode}), ${c.workload}: ${c.error}`);
}

/** What must not happen: failures nobody expects, and lost data; one line each. */
function complaints(results: Results): string[] {
  const floor = allocators.filter((allocator) => allocator.unchecked);
  const conflicts = checksumConflicts(results.cells(), new Set(floor.map(({ name }) => name)));
  return [...failures(results), ...conflicts.map((conflict) => `checksums differ: ${conflict}`)];
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) return void process.stdout.write(HELP);
  const plan: Plan = {
    modes: chosenModes(values.mode),
    allocators: chosenAllocators(allocators, values.allocator),
    workloads: chosenNames("workload", workloadNames(), values.workload),
    rounds: chosenRounds(values.rounds),
  };
  const results = await runAll("./child.js", tasksOf(plan), new Results("dlmalloc"));
  print(results, plan, values.json);
  for (const file of writeCsv(results, plan.modes, values.out)) console.error(`written: ${file}`);
  const problems = complaints(results);
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}

mainRun(main);
