/**
 * A reporter for node:test that prints the reports of mistakes with memory, each under its test,
 * and a count at the end. It is used beside the usual one:
 *
 *   node --test --test-reporter=spec --test-reporter-destination=stdout \
 *     --test-reporter=terrane/debug/node-reporter --test-reporter-destination=stderr
 */
import { reportsOf, Tally } from "./tally.ts";

/** An event of node:test, with the fields that the reporter reads. */
interface TestEvent {
  /** "test:fail" for a test that failed. */
  readonly type: string;
  /** The test and its error. */
  readonly data: {
    readonly name?: string;
    readonly file?: string;
    readonly line?: number;
    readonly details?: { readonly error?: unknown };
  };
}

/** Yields the text of the reports, as node:test expects of a reporter. */
export default async function* nodeReporter(
  events: AsyncIterable<TestEvent>,
): AsyncGenerator<string> {
  const tally = new Tally();
  for await (const { type, data } of events) {
    if (type !== "test:fail") continue;
    const { name, file, line } = data;
    yield tally.failed(`${name} (${file}:${line})`, reportsOf(data.details?.error));
  }
  yield tally.summary();
}
