/**
 * A reporter for vitest (3 and later) that prints the reports of mistakes with memory, each under
 * its test, and a count at the end: `reporters: ["default", "terrane/debug/vitest-reporter"]`.
 */
import { nodeModule } from "../report/node.ts";
import type { Frame } from "../report/stack-table.ts";
import { reportsOf, Tally } from "./tally.ts";

/** A test of vitest, with the fields that the reporter reads. */
interface TestCase {
  /** The names of its suites and its own. */
  readonly fullName: string;
  /** The file of the test. */
  readonly module: { readonly moduleId: string };
  /** The project that ran it. */
  readonly project?: Project;
  /** Returns the errors that made it fail. */
  result(): { readonly errors?: readonly unknown[] | undefined };
}

/** A project of vitest, with the server that has transformed the code and has the maps. */
interface Project {
  /** The server. */
  readonly vite?: {
    readonly moduleGraph?: {
      getModuleById(id: string): Transformed | undefined;
    };
  };
}

/** A module that the server has transformed. */
interface Transformed {
  /** The result, with the source map if there is one. */
  readonly ssrTransformResult?: { readonly map?: object | null } | null;
}

/** The reporter. vitest makes it and calls its methods. */
export default class VitestReporter {
  readonly #tally = new Tally();

  /** Prints the reports of a test that failed. */
  onTestCaseResult(test: TestCase): void {
    const map = (frame: Frame) => mapFrame(frame, test.project);
    const reports = (test.result().errors ?? []).flatMap((error) => reportsOf(error, map));
    const text = this.#tally.failed(`${test.fullName} (${test.module.moduleId})`, reports);
    if (text !== "") console.log(text.trimEnd());
  }

  /** Prints the counts of mistakes. */
  onTestRunEnd(): void {
    console.log(this.#tally.summary().trimEnd());
  }
}

/** vitest runs transformed code whose map Node does not have: the server has it. */
function mapFrame(frame: Frame, project: Project | undefined): Frame {
  const found = project?.vite?.moduleGraph?.getModuleById(frame.url)?.ssrTransformResult?.map;
  const SourceMap = nodeModule("node:module")?.SourceMap;
  if (!found || !SourceMap || frame.line === 0) return frame;
  const map = new SourceMap(found as ConstructorParameters<typeof SourceMap>[0]);
  const { originalLine, originalColumn } = map.findEntry(frame.line - 1, frame.column - 1) as {
    originalLine?: number;
    originalColumn?: number;
  };
  if (originalLine === undefined) return frame;
  return { ...frame, line: originalLine + 1, column: (originalColumn ?? 0) + 1 };
}
