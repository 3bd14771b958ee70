/** Which compiler made a module: its producers section, and the marks that toolchains leave. */
import { ByteReader } from "../module/bytes.ts";
import { ModuleError } from "../module/errors.ts";
import { type Module, SECTION, sectionFind } from "../module/module.ts";
import { functionNames } from "../module/names.ts";

/** Names and versions of the producers section, as "language: C11"; none if it is damaged. */
export function producersRead(module: Module): string[] {
  const section = sectionFind(module, SECTION.custom, "producers");
  if (!section) return [];
  const reader = new ByteReader(module.bytes, section.start, section.end, "producers section");
  const found: string[] = [];
  try {
    for (let fields = reader.u32(); fields > 0; fields--) {
      const field = reader.name();
      for (let count = reader.u32(); count > 0; count--) {
        const [name, version] = [reader.name(), reader.name()];
        found.push(`${field}: ${version ? `${name} ${version}` : name}`);
      }
    }
  } catch (error) {
    if (!(error instanceof ModuleError)) throw error;
  }
  return found;
}

/** A toolchain and what only its modules have. */
interface Mark {
  readonly text: string;
  /** Modules that are imported from, and names of imports, exports and functions. */
  readonly names: RegExp;
}

const marks: readonly Mark[] = [
  { text: "wasm-bindgen", names: /^__wbindgen_|^__wbg_|^wbg$/ },
  { text: "emscripten", names: /^_?emscripten_|^__emscripten|^_embind_|^__emscripten_/ },
  { text: "AssemblyScript", names: /^~lib\/rt\/|^__pin$|^__new$|^__rtti_base$/ },
  { text: "Rust", names: /^__rust_|^__rdl_|^_R(?:NvC|INvC)|^_ZN\d+(?:core|alloc|std)\d/ },
  { text: "Zig", names: /^heap\.\w*[wW]asm\w*\.|^debug\.\w+Panic/ },
  { text: "Go", names: /^gojs$|^go\.buildid$|^runtime\.mallocgc$|^go:main/ },
  { text: "TinyGo", names: /^runtime\.alloc$|^tinygo_/ },
  { text: "C++", names: /^_Zn[wa][jm]|^operator new|^__cxa_/ },
  { text: "WASI", names: /^wasi_snapshot_preview1$|^wasi_unstable$/ },
];

/** Toolchains by their marks, for modules without a producers section. */
export function languageOf(module: Module): string[] {
  const names = [
    ...module.imports.flatMap((each) => [each.module, each.name]),
    ...module.exports.map((each) => each.name),
    ...functionNames(module).values(),
    ...module.sections.map((each) => each.name),
  ];
  return marks.filter((mark) => names.some((name) => mark.names.test(name))).map((m) => m.text);
}
