/**
 * Programs of others, from the npm registry, each with a job in its own loader: from a module's
 * bytes, or under a checker.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type * as dprint from "@dprint/formatter";
import quickJsVariant from "@jitl/quickjs-wasmfile-release-sync";
import type * as resvg from "@resvg/resvg-wasm";
import sqlite3InitModule from "@sqlite.org/sqlite-wasm";
import type * as treeSitter from "@vscode/tree-sitter-wasm";
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from "quickjs-emscripten-core";
import {
  Checker,
  type CheckerOptions,
  createEmscriptenHooks,
  type InstrumentOptions,
  instrument,
  loadChecked,
} from "#src/wasm/index.js";
import { instrumentOptions } from "./fixtures.js";

const require = createRequire(import.meta.url);

/** What a job runs on: the bytes of the module, or the checker of an instrumented one. */
export type Start = Uint8Array<ArrayBuffer> | Checker;

export interface RealProgram {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly options: InstrumentOptions;
  /** Does a job of about `size` times some milliseconds; returns its output as text. */
  run(start: Start, size: number): Promise<string>;
}

/** Runs a job under the checker. */
export async function realChecked(
  program: RealProgram,
  size: number,
  options: InstrumentOptions & CheckerOptions = {},
): Promise<{ checker: Checker; result: string }> {
  const instrumented = instrument(program.bytes, {
    ...program.options,
    ...instrumentOptions(options),
  });
  const checker = new Checker(instrumented, { javascript: false, ...options });
  return { checker, result: await program.run(checker, size) };
}

function bytesOf(file: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(require.resolve(file)));
}

/** A module of CommonJS, new each time: it has its instance in a variable. */
function fresh<T>(name: string): T {
  delete require.cache[require.resolve(name)];
  return require(name);
}

/** Settings for emscripten's Module. */
function emscripten(start: Start): object {
  if (start instanceof Checker) return createEmscriptenHooks(start);
  return {
    instantiateWasm(imports: WebAssembly.Imports, done: (...loaded: unknown[]) => void) {
      WebAssembly.instantiate(start, imports).then(({ instance, module }) => {
        done(instance, module);
      });
      return {};
    },
  };
}

/** Gives a loader the module that it is to instantiate with imports of its own. */
async function loaded<T>(start: Start, load: (module: WebAssembly.Module) => T | Promise<T>) {
  if (start instanceof Checker) return await loadChecked(start, load);
  return await load(await WebAssembly.compile(start));
}

/** A database: tables, an index, a transaction, text, sorting, a vacuum. Compiled by emscripten. */
export const sqlite: RealProgram = {
  name: "SQLite",
  bytes: bytesOf("@sqlite.org/sqlite-wasm/sqlite3.wasm"),
  options: {},
  async run(start, size) {
    const { oo1 } = await sqliteStart(start);
    const db = new oo1.DB(":memory:");
    const rows = (sql: string) => JSON.stringify(db.exec({ sql, returnValue: "resultRows" }));
    db.exec("create table t(a integer primary key, b text, c real); create index i on t(b); begin");
    const insert = db.prepare("insert into t(b, c) values(?, ?)");
    for (let i = 0; i < 300 * size; i++) {
      insert.bind([`row ${(i * 7919) % 5003}`, i / 7]).stepReset();
    }
    insert.finalize();
    db.exec("commit");
    const results = [
      rows("select count(*), sum(a), max(b), round(avg(c), 6) from t where b > 'row 3'"),
      rows("select upper(b) || printf('%.3f', c) from t order by b desc, c limit 20"),
      rows("select b, json_object('a', a, 'c', c) from t where b like '%7%' group by length(b)"),
    ];
    db.exec("delete from t where a % 3 = 0; vacuum");
    results.push(
      rows(
        "with recursive n(x) as (select 1 union all select x + 1 from n limit 50) \
select sum(x), group_concat(b, '') from n join t on a = x",
      ),
    );
    db.close();
    return results.join("\n");
  },
};

export async function sqliteStart(start: Start): ReturnType<typeof sqlite3InitModule> {
  const init = sqlite3InitModule as (hooks: object) => ReturnType<typeof sqlite3InitModule>;
  return await init(emscripten(start));
}

const quickJsCode = (size: number) => `(() => {
  const map = new Map();
  for (let i = 0; i < ${800 * size}; i++) map.set("k" + (i * 7919) % 10007, [i, { a: i }]);
  let sum = 0;
  for (const [key, value] of map) sum += value[0] + key.length;
  const text = "abc,def;ghi".repeat(50).split(/[,;]/).map((x) => x.toUpperCase()).sort().join();
  class Shape { #side = 3; get area() { return this.#side ** 2; } }
  const view = new DataView(new ArrayBuffer(64));
  view.setFloat64(3, Math.PI);
  const parsed = JSON.parse('{"a": [1, 2.5, "\\\\u00fc", null], "b": {"c": true}}');
  function* squares(n) { for (let i = 0; i < n; i++) yield i * i; }
  return JSON.stringify([sum, text, new Shape().area, view.getFloat32(2), parsed,
    [...squares(9)], String(2n ** 200n), [3.5, 1e21, -0].map(String), "grüße".normalize("NFD")]);
})()`;

/**
 * A JavaScript engine. Compiled by emscripten; names of exports have one letter, so its allocator
 * is found by proof.
 */
export const quickJs: RealProgram = {
  name: "QuickJS",
  bytes: bytesOf("@jitl/quickjs-wasmfile-release-sync/wasm"),
  options: {},
  async run(start, size) {
    const runtime = (await quickJsStart(start)).newRuntime();
    const context = runtime.newContext();
    const handle = context.unwrapResult(context.evalCode(quickJsCode(size)));
    const result = context.getString(handle);
    handle.dispose();
    context.dispose();
    runtime.dispose();
    return result;
  },
};

export async function quickJsStart(start: Start): Promise<QuickJSWASMModule> {
  const variant = quickJsVariant as unknown as QuickJSSyncVariant;
  return await newQuickJSWASMModuleFromVariant(
    newVariant(variant, { emscriptenModule: emscripten(start) }),
  );
}

const typeScript = (size: number) => `
import { a, type B } from "./c.js";
export class Stack<T extends object> implements Iterable<T> {
  readonly #items: T[] = [];
  push(item: T): number { return this.#items.push(item); }
  get top(): T | undefined { return this.#items.at(-1); }
  *[Symbol.iterator]() { for (const each of this.#items) yield each; }
}
${"const text = `a `, regex = /[a-z]+\\/x/g, sum = (a ?? 1) + b ** 2; // note\n".repeat(8 * size)}
async function main({ x = 1, ...rest }: { x?: number }): Promise<void> {
  for await (const [k, v] of Object.entries(rest)) if (k in v) break; else await f?.(k!);
}
`;

/** A parser generator's runtime, which links a grammar into its memory. Compiled by emscripten. */
export const treeSitterParser: RealProgram = {
  name: "tree-sitter",
  bytes: bytesOf("@vscode/tree-sitter-wasm/wasm/tree-sitter.wasm"),
  options: {},
  async run(start, size) {
    const Parser = fresh<typeof treeSitter.Parser>("@vscode/tree-sitter-wasm");
    await Parser.init(emscripten(start));
    const language = await Parser.Language.load(
      require.resolve("@vscode/tree-sitter-wasm/wasm/tree-sitter-typescript.wasm"),
    );
    const parser = new Parser();
    parser.setLanguage(language);
    const text = typeScript(size);
    const tree = parser.parse(text);
    const query = language.query("(call_expression function: (_) @f) (type_identifier) @t");
    const captures = query.captures(tree.rootNode).map(({ node }) => node.text);
    const point = { row: 1, column: 0 };
    const edit = { startIndex: 1, oldEndIndex: 1, newEndIndex: 5 };
    tree.edit({
      ...edit,
      ...{ startPosition: point, oldEndPosition: point, newEndPosition: { row: 1, column: 4 } },
    });
    const edited = parser.parse(`${text.slice(0, 1)}foo;${text.slice(1)}`, tree);
    const result = [tree.rootNode.toString(), captures.join(), edited.rootNode.toString()];
    for (const each of [query, tree, edited, parser]) each.delete();
    return result.join("\n");
  },
};

const json = (size: number) =>
  JSON.stringify({
    list: Array.from({ length: 60 * size }, (_, i) => ({
      id: i,
      text: `entry ${i * 37} “grün”`,
      nested: [[i], { deep: [i / 3, null, true] }],
    })),
  }).replace('"id":5,', '// a comment\n"id": 5,/* another */');

/** A formatter. Rust for wasm32-unknown-unknown with the names of its functions. */
export const formatter: RealProgram = {
  name: "dprint's JSON formatter",
  bytes: bytesOf("@dprint/json/plugin.wasm"),
  options: {},
  async run(start, size) {
    const { createFromWasmModule } = fresh<typeof dprint>("@dprint/formatter");
    const plugin = await loaded(start, (module) => createFromWasmModule(module));
    plugin.setConfig({ lineWidth: 60, indentWidth: 3 }, { trailingCommas: "always" });
    const format = (filePath: string, fileText: string) => {
      try {
        return plugin.formatText({ filePath, fileText });
      } catch (error) {
        return String(error);
      }
    };
    return [
      format("a.jsonc", json(size)),
      format("b.json", '{"a": [1, 2'),
      JSON.stringify(plugin.getPluginInfo()),
    ].join("\n");
  },
};

const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="160" height="120" viewBox="0 0 160 120">
<defs><linearGradient id="g"><stop offset="0" stop-color="#fc0"/><stop offset="1"
 stop-color="#06c"/></linearGradient><filter id="b"><feGaussianBlur stdDeviation="2"/></filter>
<clipPath id="c"><circle cx="90" cy="50" r="40"/></clipPath></defs>
<rect width="160" height="120" rx="9" fill="url(#g)"/><g transform="rotate(15 80 60)">
<path d="M20 90C40 10 120 10 140 90Z" fill="none" stroke="#222" stroke-width="5"
 stroke-dasharray="9 4" filter="url(#b)"/></g>
<g clip-path="url(#c)"><circle cx="80" cy="60" r="25" opacity=".5" fill="red"/></g></svg>`;

/** A renderer of SVG. Rust with wasm-bindgen, stripped. */
export const renderer: RealProgram = {
  name: "resvg",
  bytes: bytesOf("@resvg/resvg-wasm/index_bg.wasm"),
  options: {},
  async run(start, size) {
    const { Resvg } = await rendererStart(start);
    const image = new Resvg(svg, { fitTo: { mode: "width", value: 60 + 30 * size } });
    const rendered = image.render();
    const result = [
      ...[rendered.asPng(), rendered.pixels].map((bytes) => Buffer.from(bytes).toString("base64")),
      ...[image.toString(), image.width, image.height],
    ];
    rendered.free();
    image.free();
    return result.join("\n");
  },
};

export async function rendererStart(start: Start): Promise<typeof resvg> {
  const library = fresh<typeof resvg>("@resvg/resvg-wasm");
  await loaded(start, (module) => library.initWasm(module));
  return library;
}

export const realPrograms: readonly RealProgram[] = [
  sqlite,
  quickJs,
  treeSitterParser,
  formatter,
  renderer,
];
