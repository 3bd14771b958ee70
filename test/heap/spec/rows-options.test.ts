/** Rows 94 to 97: the options of mimalloc, their environment and their life. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { runtimeOptionTexts } from "#src/common/runtime-option-texts.js";
import {
  optionParse,
  type RuntimeOption,
  RuntimeOptions,
  runtimeOptions,
  snakeCase,
} from "#src/common/runtime-options.js";
import { createAbi, createHeap, type Environment, options } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { simulatedMemory } from "#src/memory/index.js";
import { anyHeap } from "../../support/any-heap.js";
import { seedOf } from "../../support/random.js";

/** Options over an environment, and what they warn of. */
function optionsOver(environment: Environment): { options: RuntimeOptions; warnings: string[] } {
  const warnings: string[] = [];
  const made = new RuntimeOptions(
    () => environment,
    (text) => warnings.push(text),
  );
  return { options: made, warnings };
}

/** Table 15.1 of the specification, with the 32-bit size of an arena. */
const defaults: [string, number, string?][] = [
  ["show_errors", 0],
  ["show_stats", 0],
  ["verbose", 0],
  ["eager_commit", 1],
  ["arena_eager_commit", 2, "eager_region_commit"],
  ["purge_decommits", 1, "reset_decommits"],
  ["allow_large_os_pages", 0, "large_os_pages"],
  ["reserve_huge_os_pages", 0],
  ["reserve_huge_os_pages_at", -1],
  ["reserve_os_memory", 0],
  ["deprecated_segment_cache", 0],
  ["deprecated_page_reset", 0],
  ["abandoned_page_purge", 0, "abandoned_page_reset"],
  ["deprecated_segment_reset", 0],
  ["eager_commit_delay", 1],
  ["purge_delay", 10, "reset_delay"],
  ["use_numa_nodes", 0],
  ["limit_os_alloc", 0],
  ["os_tag", 100],
  ["max_errors", 16],
  ["max_warnings", 16],
  ["max_segment_reclaim", 8],
  ["destroy_on_exit", 0],
  ["arena_reserve", 131072],
  ["arena_purge_mult", 10],
  ["purge_extend_delay", 1, "decommit_extend_delay"],
];

test("row 94: options defaults - mimalloc's, under its numbers and names", () => {
  const { options, warnings } = optionsOver({});
  const rows = defaults.map(([name, value]) => [name, value]);
  assert.deepEqual(
    options.names.map((name) => [snakeCase(name), options.get(name)]),
    rows,
  );
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    runtimeOptions.filter((row) => "size" in row).map((row) => row.name),
    ["reserveOsMemory", "arenaReserve"],
  );
});

test("row 94: options defaults - an option whose effect is another is none of these", () => {
  for (const { name } of runtimeOptions) assert.match(runtimeOptionTexts[name], /\.$/, name);
  const names = new Set(runtimeOptions.map((row) => row.name));
  assert.equal(names.size, 26);
});

/** What 15.3 says was seen of mimalloc, and what its rules say besides. */
const readings: [RuntimeOption, string, number | undefined][] = [
  ...["", "1", "TRUE", "true", "YES", "yes", "ON", "E", "N", "O", "S", ";", "ES;ON"].map(
    (text): [RuntimeOption, string, number] => ["purgeDelay", text, 1],
  ),
  ...["0", "FALSE", "NO", "no", "OFF", "F", "FALSE;N"].map(
    (text): [RuntimeOption, string, number] => ["purgeDelay", text, 0],
  ),
  ["purgeDelay", "0x10", undefined],
  ["purgeDelay", "5x", undefined],
  ["purgeDelay", " 7", 7],
  ["purgeDelay", "7 ", undefined],
  ["purgeDelay", "01", 1],
  ["purgeDelay", "-1", -1],
  ["purgeDelay", "+33", 33],
  ["purgeDelay", "5K", undefined],
  ["purgeDelay", "5B", undefined],
  ["purgeDelay", "99999999999999999999", Number.MAX_SAFE_INTEGER],
  ["arenaReserve", "1024", 1],
  ["arenaReserve", "1025", 2],
  ["arenaReserve", "1K", 1],
  ["arenaReserve", "1KiB", 1],
  ["arenaReserve", "1KB", 1],
  ["arenaReserve", "1M", 1024],
  ["arenaReserve", "1m", 1024],
  ["arenaReserve", "2G", 2097152],
  ["arenaReserve", "2GiB", 2097152],
  ["arenaReserve", "1B", 1],
  ["arenaReserve", "1Ki", undefined],
  ["arenaReserve", "1T", undefined],
  ["arenaReserve", "1.5G", undefined],
  ["arenaReserve", "-5", 0],
  ["arenaReserve", "-5000", -3],
  ["arenaReserve", "", 1],
  ["arenaReserve", "yes", 1],
];

test("row 95: option parsing - what was seen of mimalloc, and a warning for the rest", () => {
  for (const [name, text, expected] of readings) {
    const variable = `TERRANE_${snakeCase(name).toUpperCase()}`;
    const { options, warnings } = optionsOver({ [variable]: text });
    const initial = optionsOver({}).options.get(name);
    assert.equal(options.get(name), expected ?? initial, `${name}=${JSON.stringify(text)}`);
    const warning = `environment option ${variable.toLowerCase()} has an invalid value.`;
    assert.deepEqual(warnings, expected === undefined ? [warning] : [], text);
  }
});

test("row 95: option parsing - names in any case, ours first, at most 64 characters", () => {
  const get = (environment: Environment) => optionsOver(environment).options.get("purgeDelay");
  assert.equal(get({ MIMALLOC_PURGE_DELAY: "5" }), 5);
  assert.equal(get({ mimalloc_Purge_Delay: "5" }), 5);
  assert.equal(get({ MIMALLOC_PURGE_DELAY: "5", terrane_purge_delay: "6" }), 6);
  assert.equal(get({ TERRANE_PURGEDELAY: "5" }), 10);
  assert.equal(get({ TERRANE_PURGE_DELAY: `${" ".repeat(62)}789` }), 78);
});

test("row 95: option parsing - getSize counts bytes, getClamp keeps within bounds", () => {
  const { options } = optionsOver({ TERRANE_ARENA_RESERVE: "-5000", TERRANE_OS_TAG: "500" });
  assert.equal(options.getSize("arenaReserve"), 0);
  assert.equal(options.getSize("reserveOsMemory"), 0);
  options.set("arenaReserve", 3);
  assert.equal(options.getSize("arenaReserve"), 3072);
  assert.equal(options.getClamp("osTag", 0, 255), 255);
  assert.equal(options.getClamp("osTag", 600, 700), 600);
  assert.throws(() => options.getSize("osTag"), /^TypeError: osTag is not a size$/);
});

/** The rules of 15.3 read as C would, a character at a time: the model of the parser. */
function modelParse(text: string, size: boolean): number | undefined {
  const value = text.slice(0, 64).toUpperCase();
  for (const [list, answer] of [
    ["1;TRUE;YES;ON", 1],
    ["0;FALSE;NO;OFF", 0],
  ] as const) {
    for (let from = 0; from <= list.length; from++) {
      if (list.startsWith(value, from)) return answer;
    }
  }
  let at = 0;
  while (" \t\n\v\f\r".includes(value[at] ?? "x")) at++;
  const sign = value[at] === "-" ? -1n : 1n;
  if (value[at] === "-" || value[at] === "+") at++;
  let number = 0n;
  const first = at;
  for (; value[at] !== undefined && value[at]! >= "0" && value[at]! <= "9"; at++) {
    number = number * 10n + BigInt(value[at]!);
  }
  if (at === first) return undefined;
  number *= sign;
  if (size) {
    const unit = value[at];
    if (unit === "K" || unit === "M" || unit === "G") at++;
    if (unit === "M") number *= 1024n;
    else if (unit === "G") number *= 1048576n;
    else if (unit !== "K") number = (number + 1023n) / 1024n;
    if (value[at] === "I" && value[at + 1] === "B") at += 2;
    else if (value[at] === "B") at += 1;
  }
  if (at !== value.length) return undefined;
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(number > limit ? limit : number < -limit ? -limit : number);
}

test("row 95: option parsing - any text is read as the model reads it", () => {
  const letters = fc.constantFrom(..."0123456789 \t\n+-kKmMgGtTiIbBeEsSyYoOnNfFrRuUaAlL;x.");
  const word = fc.constantFrom("1;TRUE;YES;ON", "0;FALSE;NO;OFF", "KIB", "GiB", "mb");
  const part = fc.tuple(word, fc.nat(13), fc.nat(13)).map(([text, a, b]) => text.slice(a, b));
  const number = fc.integer({ min: -5_000_000, max: 5_000_000 }).map(String);
  const text = fc.array(fc.oneof(letters, part, number), { maxLength: 8 }).map((s) => s.join(""));
  fc.assert(
    fc.property(fc.oneof(text, fc.string({ maxLength: 80 })), fc.boolean(), (value, size) => {
      assert.equal(optionParse(value, size), modelParse(value, size), JSON.stringify(value));
    }),
    { numRuns: 5000, seed: seedOf(95) },
  );
});

test("row 96: legacy option - counts, with a warning that names the new one", () => {
  const { options, warnings } = optionsOver({ MIMALLOC_RESET_DELAY: "33" });
  assert.equal(options.get("purgeDelay"), 33);
  assert.deepEqual(warnings, [
    'environment option "mimalloc_reset_delay" is deprecated -- use "mimalloc_purge_delay" instead.',
  ]);
  for (const [name, , legacy] of defaults) {
    if (!legacy) continue;
    const other = optionsOver({ [`TERRANE_${legacy.toUpperCase()}`]: "7" });
    const option = other.options.names.find((each) => snakeCase(each) === name) as RuntimeOption;
    assert.equal(other.options.get(option), 7, legacy);
    const use = `"terrane_${legacy}" is deprecated -- use "terrane_${name}" instead.`;
    assert.deepEqual(other.warnings, [`environment option ${use}`]);
  }
});

test("row 96: legacy option - the new name wins, without a warning", () => {
  const { options, warnings } = optionsOver({
    TERRANE_RESET_DELAY: "33",
    mimalloc_purge_delay: "4",
  });
  assert.equal(options.get("purgeDelay"), 4);
  assert.deepEqual(warnings, []);
});

test("row 97: set_default - before the environment is read it wins; after set() nothing does", () => {
  const { options } = optionsOver({ TERRANE_MAX_ERRORS: "99" });
  options.setDefault("maxErrors", 50);
  assert.equal(options.get("maxErrors"), 99);
  options.setDefault("maxErrors", 51);
  assert.equal(options.get("maxErrors"), 99);
  options.setDefault("maxWarnings", 52);
  assert.equal(options.get("maxWarnings"), 52);
  options.setDefault("maxWarnings", 53);
  assert.equal(options.get("maxWarnings"), 53);
  options.set("maxWarnings", 54);
  options.setDefault("maxWarnings", 55);
  assert.equal(options.get("maxWarnings"), 54);
  options.set("maxErrors", 1);
  assert.equal(options.get("maxErrors"), 1);
});

test("enable, disable, setEnabled and their defaults are 1 and 0", () => {
  const { options } = optionsOver({});
  options.enable("verbose");
  assert.equal(options.get("verbose"), 1);
  assert.equal(options.isEnabled("verbose"), true);
  options.disable("verbose");
  assert.equal(options.isEnabled("verbose"), false);
  options.setEnabled("showStats", true);
  assert.equal(options.get("showStats"), 1);
  options.setEnabledDefault("showStats", false);
  assert.equal(options.get("showStats"), 1);
  options.setEnabledDefault("showErrors", true);
  assert.equal(options.get("showErrors"), 1);
});

test("load takes a record as if it were the environment", () => {
  const { options, warnings } = optionsOver({});
  assert.equal(options.get("purgeDelay"), 10);
  options.set("osTag", 5);
  options.load({
    terrane_purge_delay: "20",
    MIMALLOC_OS_TAG: "6",
    TERRANE_VERBOSE: "maybe",
    x: "1",
  });
  assert.deepEqual([options.get("purgeDelay"), options.get("osTag")], [20, 6]);
  assert.equal(options.get("verbose"), 0);
  assert.deepEqual(warnings, ["environment option terrane_verbose has an invalid value."]);
});

test("unknown names and values that are not whole numbers are refused", () => {
  const { options } = optionsOver({});
  const wrong = "purgedelay" as RuntimeOption;
  const message = `unknown option purgedelay; known: ${options.names.join(", ")}`;
  for (const call of [
    () => options.get(wrong),
    () => options.set(wrong, 1),
    () => options.setDefault(wrong, 1),
    () => options.getSize(wrong),
    () => options.enable(wrong),
    () => options.isEnabled(wrong),
  ]) {
    assert.throws(call, { name: "TypeError", message });
  }
  for (const value of [1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) {
    const text = { name: "RangeError", message: `value must be whole, not ${value}` };
    assert.throws(() => options.set("osTag", value), text);
    assert.throws(() => options.setDefault("osTag", value), text);
  }
  const text = "value must be a number, not string";
  const one = "1" as unknown as number;
  assert.throws(() => options.set("osTag", one), { name: "TypeError", message: text });
  assert.throws(() => options.getClamp("osTag", one, 1), { name: "TypeError", message: text });
  assert.equal(options.get("osTag"), 100);
});

for (const backend of ["wasm", "js"] as const) {
  test(`${backend}: C programs have the options under mimalloc's numbers`, () => {
    const abi = createAbi(anyHeap({ backend }));
    const call = (name: string, ...args: number[]) => abi[`mi_${name}`]?.(...args);
    assert.equal(call("option_get", 15), 10);
    call("option_set", 15, 44);
    assert.equal(options.get("purgeDelay"), 44);
    call("option_set_default", 15, 45);
    assert.equal(call("option_get", 15), 44);
    assert.equal(call("option_get_clamp", 15, 50, 60), 50);
    call("option_set", 23, 8);
    assert.equal(call("option_get_size", 23), 8192);
    call("option_enable", 1);
    assert.equal(call("option_is_enabled", 1), 1);
    call("option_disable", 1);
    assert.equal(call("option_is_enabled", 1), 0);
    call("option_set_enabled", 1, 7);
    assert.equal(call("option_get", 1), 1);
    call("option_set_enabled_default", 1, 0);
    assert.equal(call("option_get", 1), 1);
    call("option_disable", 1);
    for (const none of [26, -1, 1e9]) {
      call("option_set", none, 1);
      assert.equal(call("option_get", none), 0);
      assert.equal(call("option_get_size", none), 0);
      assert.equal(call("option_is_enabled", none), 0);
    }
    assert.equal(call("version"), 212);
    assert.equal(call("is_redirected"), 0);
    for (const name of ["process_init", "thread_init"]) assert.equal(call(name), undefined);
    options.set("purgeDelay", 10);
  });

  test(`${backend}: limitOsAlloc - what the memory has is all there is`, () => {
    // A SharedArrayBuffer has all its bytes from the start.
    for (const shared of backend === "js" ? [false] : [false, true]) {
      const errors: number[] = [];
      const heap = anyHeap({ backend, shared: shared as true, onError: (c) => errors.push(c) });
      const bytes = heap.buffer.byteLength;
      options.enable("limitOsAlloc");
      try {
        assert.equal(heap.malloc(2 ** 25), 0);
        assert.deepEqual(errors, [12]);
        assert.equal(heap.buffer.byteLength, bytes);
      } finally {
        options.disable("limitOsAlloc");
      }
      assert.notEqual(heap.malloc(2 ** 25), 0);
    }
  });

  test(`${backend}: purge options are the defaults of heaps that are made later`, () => {
    const names = ["purgeDelay", "purgeExtendDelay", "arenaPurgeMult", "purgeDecommits"] as const;
    const before = names.map((name) => options.get(name));
    const set = (...values: number[]) => {
      for (const [i, name] of names.entries()) options.set(name, values[i] as number);
    };
    const made = (more = {}) =>
      createHeap({ backend: javascript, memory: simulatedMemory(), ...more }).purgeSettings();
    set(3, 4, 5, 0);
    const settings = { purgeDelay: 3, purgeExtendDelay: 4, arenaPurgeMult: 5 };
    assert.deepEqual(made(), { ...settings, purgeDecommits: false, purgeZeroes: false });
    assert.equal(made({ purgeDelay: 7 }).purgeDelay, 7);
    set(-5, 1e9, -1, 1);
    const clamped = { purgeDelay: -1, purgeExtendDelay: 1e6, arenaPurgeMult: 0 };
    assert.deepEqual(made(), { ...clamped, purgeDecommits: true, purgeZeroes: false });
    set(...before);
    assert.equal(made().purgeDelay, 10);
  });

  test(`${backend}: reserveOsMemory - a new heap has it at once`, () => {
    options.set("reserveOsMemory", 8192);
    const heap = anyHeap({ backend });
    options.set("reserveOsMemory", 0);
    assert.ok(heap.buffer.byteLength >= 2 ** 23);
    options.enable("limitOsAlloc");
    assert.notEqual(heap.malloc(2 ** 23 - 2 ** 17), 0);
    options.disable("limitOsAlloc");
  });
}
