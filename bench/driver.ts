/** What every benchmark of allocators does: options, alternated rounds, a process for each task. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { csv } from "./report.ts";
import type { Figures, Results } from "./results.ts";
import type { Answer, Task } from "./serve.ts";

export function chosenRounds(text: string): number {
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`bad number of rounds: ${text}`);
  return rounds;
}

/** The one argument of the small benchmarks; anything else is told in one line. */
export function roundsAsked(otherwise: number): number {
  try {
    return chosenRounds(process.argv[2] ?? String(otherwise));
  } catch (error) {
    console.error(`${(error as Error).message}; the argument is a number (${otherwise})`);
    process.exit(2);
  }
}

/** What a list of names in an option asks for: all that are known unless it is given. */
export function chosenNames(what: string, known: readonly string[], list?: string): string[] {
  const chosen = list?.split(",") ?? [...known];
  const unknown = chosen.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`unknown ${what}: ${unknown}`);
  return chosen;
}

interface Buildable {
  readonly name: string;
  readonly available: boolean;
}

/** The allocators that a list names: all that are built unless it is given. */
export function chosenAllocators<A extends Buildable>(all: readonly A[], list?: string): A[] {
  if (list === undefined) return all.filter((allocator) => allocator.available);
  const names = chosenNames(
    "allocator",
    all.map(({ name }) => name),
    list,
  );
  const chosen = names.flatMap((name) => all.filter((allocator) => allocator.name === name));
  const missing = chosen.find((allocator) => !allocator.available);
  if (missing) throw new Error(`${missing.name} is not built; see bench/rivals/README.md`);
  return chosen;
}

/** The list from another place on in each round: drift of the machine then hits all alike. */
export function inTurn<T>(list: readonly T[], round: number): T[] {
  return list.map((_, index) => list[(index + round) % list.length] as T);
}

function runTask(file: string, task: Task, onAnswer: (answer: Answer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = fork(file, { execArgv: ["--expose-gc"] });
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

/** Runs each task in a process of its own: `child` is the file, next to this one. */
export async function runAll(
  child: string,
  tasks: readonly Task[],
  results: Results,
): Promise<Results> {
  const file = fileURLToPath(new URL(child, import.meta.url));
  for (const [index, task] of tasks.entries()) {
    await runTask(file, task, (answer) => {
      progress(`${index + 1}/${tasks.length} ${task.allocator} ${task.mode} ${answer.workload}`);
      results.add(task, answer);
    });
  }
  progress("");
  return results;
}

export function figuresOf(results: Results, mode: string): Figures[] {
  const cells = results.cells().filter((cell) => cell.mode === mode);
  return cells.map((cell) => results.figures(cell)).filter((figures) => figures !== undefined);
}

/** bench/results/DATE-nodeMAJOR-WHAT.csv */
export function resultsName(what: string, date: Date): string {
  const major = process.versions.node.split(".")[0];
  return `bench/results/${date.toISOString().slice(0, 10)}-node${major}-${what}.csv`;
}

export function csvOf(results: Results, modes: readonly string[], date: Date): string {
  const figures = modes.flatMap((mode) => figuresOf(results, mode));
  return csv(figures, date, results.reference);
}

/** Runs a benchmark's main function; an error that it throws is a mistake of the caller's. */
export function mainRun(main: () => Promise<void>): void {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  });
}
