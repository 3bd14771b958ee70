/** Which features of WebAssembly a module uses, by its code and its memory. */
import { CodeReader } from "../module/code.ts";
import { KIND, type Module } from "../module/module.ts";

/** Opcodes from `from` to `to` belong to a feature. */
interface FeatureCodes {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

const codes: readonly FeatureCodes[] = [
  { name: "sign-extension", from: 0xc0, to: 0xc4 },
  { name: "saturating-conversions", from: 0xfc000, to: 0xfc007 },
  { name: "bulk-memory", from: 0xfc008, to: 0xfc00e },
  { name: "reference-types", from: 0xfc00f, to: 0xfc011 },
  { name: "simd", from: 0xfd000, to: 0xfd0ff },
  { name: "relaxed-simd", from: 0xfd100, to: 0xfd1ff },
  { name: "atomics", from: 0xfe000, to: 0xfefff },
  { name: "tail-calls", from: 0x12, to: 0x13 },
  { name: "typed-references", from: 0x14, to: 0x15 },
  { name: "exceptions-legacy", from: 0x06, to: 0x07 },
  { name: "exceptions", from: 0x1f, to: 0x1f },
];

/** Names of the features that a module uses, in the order of a fixed list. */
export function featuresOf(module: Module): string[] {
  const used = new Set<string>();
  for (const code of codesOf(module)) {
    const feature = codes.find(({ from, to }) => code >= from && code <= to);
    if (feature) used.add(feature.name);
  }
  const results = module.types.some((type) => type.results.length > 1);
  const mutable = module.globals.some((each) => each.imported && each.mutable);
  return [
    ...codes.map((each) => each.name).filter((name) => used.has(name)),
    ...(module.memories.some((each) => each.limits.shared) ? ["shared-memory"] : []),
    ...(module.memories.some((each) => each.limits.is64) ? ["memory64"] : []),
    ...(module.memories.length > 1 ? ["multi-memory"] : []),
    ...(results ? ["multi-value"] : []),
    ...(mutable ? ["mutable-globals"] : []),
    ...(module.imports.some((each) => each.kind === KIND.tag) ? ["imported-tags"] : []),
  ];
}

/** Every opcode that appears, each once. */
function codesOf(module: Module): Set<number> {
  const found = new Set<number>();
  for (const { code, end } of module.bodies) {
    const reader = new CodeReader(module.bytes, code, end);
    while (!reader.done) {
      reader.next();
      found.add(reader.op);
    }
  }
  return found;
}
