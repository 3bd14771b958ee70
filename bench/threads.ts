/** The benchmark of threads: Workers over one memory, each allocator and round in its own process. */
import { parseArgs } from "node:util";
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
import { engine, machine, write } from "./report.ts";
import { checksumConflicts, Results } from "./results.ts";
import type { Task } from "./serve.ts";
import { type SharedAllocator, sharedAllocators } from "./threads-allocators.ts";
import { machineWorkloads, threadWorkloads } from "./threads-measure.ts";
import { MACHINE, modeOf, threadTables } from "./threads-report.ts";

const HELP = `usage: npm run bench:threads -- [options]

  --allocator a,b   of: ${sharedAllocators.map((allocator) => allocator.name).join(", ")}
  --workload x,y    of: ${threadWorkloads.join(", ")}
  --workers M,N     numbers of Workers (1,2)
  --rounds N        processes for each allocator and number of Workers (5)
  --json            figures as JSON on standard output instead of tables
  --out FILE        CSV file (bench/results/DATE-nodeMAJOR-threads.csv)
  --help
`;

const OPTIONS = {
  allocator: { type: "string" },
  workload: { type: "string" },
  workers: { type: "string", default: "1,2" },
  rounds: { type: "string", default: "5" },
  json: { type: "boolean", default: false },
  out: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

/** As many as workloads/threads.c has rings for. */
const WORKERS_MAX = 16;

interface Plan {
  readonly workers: readonly number[];
  readonly allocators: readonly SharedAllocator[];
  readonly workloads: readonly string[];
  readonly rounds: number;
}

function chosenWorkers(list: string): number[] {
  const counts = list.split(",").map(Number);
  const bad = counts.find(
    (count) => !(Number.isInteger(count) && count > 0 && count <= WORKERS_MAX),
  );
  if (bad !== undefined)
    throw new Error(`--workers: numbers from 1 to ${WORKERS_MAX}, not ${list}`);
  return counts;
}

/** The machine's own workloads need no allocator, so only one runs them. */
function takes({ name, workloads }: SharedAllocator, workload: string): boolean {
  if (machineWorkloads.includes(workload)) return name === MACHINE;
  return workloads?.includes(workload) ?? true;
}

function turn(plan: Plan, round: number): Task[] {
  return inTurn(plan.allocators, round).flatMap((allocator) =>
    inTurn(plan.workers, round).map((count) => ({
      allocator: allocator.name,
      mode: modeOf(count),
      workloads: plan.workloads.filter((workload) => takes(allocator, workload)),
    })),
  );
}

function tasksOf(plan: Plan): Task[] {
  return Array.from({ length: plan.rounds }, (_, round) => turn(plan, round)).flat();
}

function print(results: Results, plan: Plan, json: boolean): void {
  if (json) {
    const figures = plan.workers.flatMap((count) => figuresOf(results, modeOf(count)));
    console.log(JSON.stringify({ engine: engine(), machine: machine(), figures }, null, 2));
    return;
  }
  const names = plan.allocators.map((allocator) => allocator.name);
  const workloads = plan.workloads.filter((workload) => !machineWorkloads.includes(workload));
  console.log(threadTables({ results, allocators: names, workloads, workers: plan.workers }));
}

/** What must not happen, a line each: the sum of what was freed depends on the Workers' number. */
function complaints(results: Results, plan: Plan): string[] {
  const cells = results.cells();
  const failed = cells.filter((cell) => cell.error !== undefined);
  const conflicts = plan.workers.flatMap((count) =>
    checksumConflicts(cells.filter((cell) => cell.mode === modeOf(count))),
  );
  return [
    ...failed.map((cell) => `${cell.allocator} (${cell.mode}), ${cell.workload}: ${cell.error}`),
    ...conflicts.map((conflict) => `checksums differ: ${conflict}`),
  ];
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) return void process.stdout.write(HELP);
  const plan: Plan = {
    workers: chosenWorkers(values.workers),
    allocators: chosenAllocators(sharedAllocators, values.allocator),
    workloads: chosenNames("workload", threadWorkloads, values.workload),
    rounds: chosenRounds(values.rounds),
  };
  const results = await runAll("./threads-child.js", tasksOf(plan), new Results("terrane"));
  print(results, plan, values.json);
  const date = new Date();
  const file = values.out ?? fromRoot(resultsName("threads", date));
  write(file, csvOf(results, plan.workers.map(modeOf), date));
  console.error(`written: ${file}`);
  const problems = complaints(results, plan);
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}

mainRun(main);
