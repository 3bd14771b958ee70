/**
 * A reporter for vitest (3 and later) that prints the reports of mistakes with memory, each under
 * its test, and a count at the end: `reporters: ["default", "terrane/debug/vitest-reporter"]`.
 */
import { nodeModule } from "../report/node.ts";
import type { Frame } from "../report/stack-table.ts";
import { reportsOf, Tally } from "./tally.ts";

/** What vitest tells of a test, as far as it is asked here. */
interface TestCase {
  readonly fullName: string;
  readonly module: { readonly moduleId: string };
  readonly project?: Project;
  result(): { readonly errors?: readonly unknown[] | undefined };
}

/** The server that has transformed the code, and knows the maps. */
interface Project {
  readonly vite?: {
    readonly moduleGraph?: {
      getModuleById(id: string): Transformed | undefined;
    };
  };
}

interface Transformed {
  readonly ssrTransformResult?: { readonly map?: object | null } | null;
}

export default class VitestReporter {
  readonly #tally = new Tally();

  onTestCaseResult(test: TestCase): void {
    const map = (frame: Frame) => frameMap(frame, test.project);
    const reports = (test.result().errors ?? []).flatMap((error) => reportsOf(error, map));
    const text = this.#tally.failed(`${test.fullName} (${test.module.moduleId})`, reports);
    if (text !== "") console.log(text.trimEnd());
  }

  onTestRunEnd(): void {
    console.log(this.#tally.summary().trimEnd());
  }
}

/** vitest runs transformed code without telling Node of the map: the server is asked for it. */
function frameMap(frame: Frame, project: Project | undefined): Frame {
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
