/** Real programs on the heap and on its guarded form, as processor time: for os.ts. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type GuardedOptions, guarded } from "#src/debug/index.js";
import { createAbi, createHeap } from "#src/heap/index.js";
import { withOsPages } from "#src/memory/index.js";
import { type OverrideOptions, override, overrideImports } from "#src/wasm/index.js";

const require = createRequire(import.meta.url);
const JOBS = 30;

/** What emscripten's Module takes. */
interface Hooks {
  INITIAL_MEMORY: number;
  instantiateWasm(imports: WebAssembly.Imports, done: (...loaded: unknown[]) => void): object;
}

/** Space for the program and its heap at once: emscripten's views do not know of our growth. */
const MEMORY = 2 ** 28;

/** Settings for a program whose allocator is a heap, guarded or bare. */
function hooksOf(wasm: string, options: OverrideOptions, guards?: GuardedOptions): Hooks {
  const program = new Uint8Array(readFileSync(require.resolve(wasm)));
  const { bytes, report } = override(program, { ...options, form: "import" });
  const module = new WebAssembly.Module(bytes);
  return {
    INITIAL_MEMORY: MEMORY,
    instantiateWasm(imports, done) {
      const given = Object.values(imports).flatMap((each) => Object.values(each));
      const memory = given.find((each) => each instanceof WebAssembly.Memory);
      if (!memory) throw new Error(`${wasm} does not import its memory`);
      const offset = report.memory.min * 65536;
      const heap = createHeap({ memory, offset, release: withOsPages });
      const abi = guards ? { ...createAbi(heap), ...guarded(heap, guards).abi } : createAbi(heap);
      const own = overrideImports({ memory, abi });
      done(new WebAssembly.Instance(module, { ...imports, ...own }), module);
      return {};
    },
  };
}

async function sqliteJob(guards?: GuardedOptions): Promise<() => void> {
  const { default: init } = await import("@sqlite.org/sqlite-wasm");
  const hooks = hooksOf("@sqlite.org/sqlite-wasm/sqlite3.wasm", {}, guards);
  const { oo1 } = await (init as (hooks: object) => ReturnType<typeof init>)(hooks);
  return () => {
    const db = new oo1.DB(":memory:");
    db.exec("create table t(a integer primary key, b text, c real); create index i on t(b); begin");
    const insert = db.prepare("insert into t(b, c) values(?, ?)");
    for (let i = 0; i < 6000; i++) insert.bind([`row ${(i * 7919) % 5003}`, i / 7]).stepReset();
    insert.finalize();
    db.exec("commit");
    db.exec({
      sql: "select b, json_object('a', a, 'c', c) from t where b like '%7%' group by length(b)",
      returnValue: "resultRows",
    });
    db.exec("delete from t where a % 3 = 0; vacuum");
    db.close();
  };
}

const SCRIPT = `(() => {
  const map = new Map();
  for (let i = 0; i < 20000; i++) map.set("k" + (i * 7919) % 10007, [i, { a: i }]);
  let sum = 0;
  for (const [key, value] of map) sum += value[0] + key.length;
  return sum + "abc,def;ghi".repeat(500).split(/[,;]/).map((x) => x.toUpperCase()).sort().length;
})()`;

async function quickJsJob(guards?: GuardedOptions): Promise<() => void> {
  const { newQuickJSWASMModuleFromVariant, newVariant } = await import("quickjs-emscripten-core");
  const { default: variant } = await import("@jitl/quickjs-wasmfile-release-sync");
  const file = "@jitl/quickjs-wasmfile-release-sync/wasm";
  const hooks = hooksOf(file, {}, guards);
  const made = newVariant(variant as never, { emscriptenModule: hooks as never });
  const quickJs = await newQuickJSWASMModuleFromVariant(made as never);
  return () => {
    const runtime = quickJs.newRuntime();
    const context = runtime.newContext();
    context.unwrapResult(context.evalCode(SCRIPT)).dispose();
    context.dispose();
    runtime.dispose();
  };
}

export const programs: Record<string, (guards?: GuardedOptions) => Promise<() => void>> = {
  SQLite: sqliteJob,
  QuickJS: quickJsJob,
};

/** Milliseconds of the processor for some runs of a program, after some more. */
export async function programTime(name: string, guards?: GuardedOptions): Promise<number> {
  const job = await (programs[name] as (typeof programs)[string])(guards);
  for (let i = 0; i < JOBS / 2; i++) job();
  const before = process.cpuUsage();
  for (let i = 0; i < JOBS; i++) job();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
