/** What an editor shows on hover: every public member has a doc comment. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import ts from "@typescript/typescript6";
import { dist, root } from "../support/checkout.js";

/** The entry points' declarations, by the name that programs import. */
const entries = Object.entries(
  JSON.parse(readFileSync(`${root}package.json`, "utf8")).exports as Record<
    string,
    { types?: string }
  >,
).flatMap(([name, { types }]) =>
  types ? [{ name, file: dist + types.slice("./dist/".length) }] : [],
);

const program = ts.createProgram(
  entries.map(({ file }) => file),
  { strict: true, target: ts.ScriptTarget.ES2022, noLib: true, types: [] },
);
const checker = program.getTypeChecker();

function isDocumented(symbol: ts.Symbol): boolean {
  return (
    symbol.getDocumentationComment(checker).length > 0 ||
    symbol.getJsDocTags().some((tag) => tag.name === "inheritDoc")
  );
}

/** A constructor without parameters has nothing that its class does not say. */
function isPublic(member: ts.Symbol): boolean {
  const declarations = member.declarations ?? [];
  const flags = declarations.map((each) => ts.getCombinedModifierFlags(each as ts.Declaration));
  if (flags.some((flag) => flag & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected))) {
    return false;
  }
  return (
    !member.name.startsWith("#") && !member.name.startsWith("__#") && member.name !== "prototype"
  );
}

/** Members of a class, of an interface, of an object type that has a name. */
function membersOf(symbol: ts.Symbol): ts.Symbol[] {
  const own = [...(symbol.members?.values() ?? []), ...(symbol.exports?.values() ?? [])];
  return own.filter(
    (member) =>
      isPublic(member) &&
      !(member.flags & (ts.SymbolFlags.TypeParameter | ts.SymbolFlags.Signature)) &&
      !["__constructor", "__call", "__index", "__new"].includes(member.escapedName as string),
  );
}

/** What has no words on hover, as `Heap.malloc`. */
function missingOf(file: string): { all: number; missing: string[] } {
  const source = program.getSourceFile(file);
  assert.ok(source, `${file} is a declaration file`);
  const module = checker.getSymbolAtLocation(source);
  assert.ok(module, `${file} exports something`);
  const missing: string[] = [];
  let all = 0;
  for (const exported of checker.getExportsOfModule(module)) {
    const symbol =
      exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const members = membersOf(symbol).map((member) => ({
      name: `${exported.name}.${member.name}`,
      symbol: member,
    }));
    for (const each of [{ name: exported.name, symbol }, ...members]) {
      all += 1;
      if (!isDocumented(each.symbol)) missing.push(each.name);
    }
  }
  return { all, missing };
}

for (const { name, file } of entries) {
  test(`${name}: every export and every member of it has a doc comment`, (t) => {
    const { all, missing } = missingOf(file);
    t.diagnostic(`${all} members`);
    assert.deepEqual(missing, [], `${missing.length} of ${all} say nothing on hover`);
  });
}
