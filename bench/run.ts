/** The benchmark: allocators times workloads, each allocator and round in its own process. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Allocator, allocatorNamed, allocators, type Mode } from "./allocators.ts";
import { workloadNames } from "./catalogue.ts";
import type { Answer, Task } from "./child.ts";
import { fromRoot } from "./paths.ts";
import { csv, engine, machine, tables, write } from "./report.ts";
import { checksumConflicts, Results } from "./results.ts";

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

function chosenAllocators(list: string | undefined): Allocator[] {
  if (list === undefined) return allocators.filter((allocator) => allocator.available);
  const chosen = list.split(",").map(allocatorNamed);
  const missing = chosen.find((allocator) => !allocator.available);
  if (missing) throw new Error(`${missing.name} is not built; see bench/rivals/README.md`);
  return chosen;
}

function chosenWorkloads(list: string | undefined): string[] {
  const known = workloadNames();
  const chosen = list?.split(",") ?? known;
  const unknown = chosen.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`unknown workload: ${unknown}`);
  return chosen;
}

function chosenModes(mode: string | undefined): Mode[] {
  if (mode === undefined) return ["wasm", "js"];
  if (mode !== "wasm" && mode !== "js") throw new Error(`unknown mode: ${mode}`);
  return [mode];
}

function chosenRounds(text: string): number {
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`bad number of rounds: ${text}`);
  return rounds;
}

/** Every round begins with another allocator: drift of the machine then hits all alike. */
function tasksOf(plan: Plan): Task[] {
  const tasks: Task[] = [];
  for (let round = 0; round < plan.rounds; round++)
    for (const mode of plan.modes) tasks.push(...turn(plan, mode, round));
  return tasks;
}

function turn(plan: Plan, mode: Mode, round: number): Task[] {
  const able = plan.allocators.filter((allocator) => allocator.modes.includes(mode));
  return able.map((_, index) => {
    const { name, workloads } = able[(index + round) % able.length] as Allocator;
    const wanted = plan.workloads.filter((workload) => workloads?.includes(workload) ?? true);
    return { allocator: name, mode, workloads: wanted };
  });
}

const childFile = fileURLToPath(new URL("./child.js", import.meta.url));

function runTask(task: Task, onAnswer: (answer: Answer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = fork(childFile, { execArgv: ["--expose-gc"] });
    child.on("message", onAnswer as (message: unknown) => void);
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${task.allocator}: the child ended with ${signal ?? code}`));
    });
    child.send(task);
  });
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

async function runAll(tasks: readonly Task[]): Promise<Results> {
  const results = new Results();
  for (const [index, task] of tasks.entries()) {
    await runTask(task, (answer) => {
      progress(`${index + 1}/${tasks.length} ${task.allocator} ${task.mode} ${answer.workload}`);
      results.add(task, answer);
    });
  }
  progress("");
  return results;
}

function figuresOf(results: Results, mode: Mode) {
  const cells = results.cells().filter((cell) => cell.mode === mode);
  return cells.map((cell) => results.figures(cell)).filter((figures) => figures !== undefined);
}

function writeCsv(results: Results, modes: readonly Mode[], out: string | undefined): string[] {
  const date = new Date();
  const day = date.toISOString().slice(0, 10);
  const major = process.versions.node.split(".")[0];
  if (out !== undefined) {
    write(
      out,
      csv(
        modes.flatMap((mode) => figuresOf(results, mode)),
        date,
      ),
    );
    return [out];
  }
  return modes.map((mode) => {
    const file = fromRoot(`bench/results/${day}-node${major}-${mode}.csv`);
    write(file, csv(figuresOf(results, mode), date));
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
  const conflicts = checksumConflicts(results, new Set(floor.map((allocator) => allocator.name)));
  return [...failures(results), ...conflicts.map((conflict) => `checksums differ: ${conflict}`)];
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) return void process.stdout.write(HELP);
  const plan: Plan = {
    modes: chosenModes(values.mode),
    allocators: chosenAllocators(values.allocator),
    workloads: chosenWorkloads(values.workload),
    rounds: chosenRounds(values.rounds),
  };
  const results = await runAll(tasksOf(plan));
  print(results, plan, values.json);
  for (const file of writeCsv(results, plan.modes, values.out)) console.error(`written: ${file}`);
  const problems = complaints(results);
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
});
