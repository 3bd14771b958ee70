/** Compiles AssemblyScript for tests, in memory. */
import asc from "assemblyscript/asc";

/** Options are those of asc; `--debug` keeps names. */
export async function compile(
  source: string,
  ...options: readonly string[]
): Promise<Uint8Array<ArrayBuffer>> {
  let bytes: Uint8Array | undefined;
  const { error, stderr } = await asc.main(["main.ts", "-o", "main.wasm", ...options], {
    readFile: (name) => (name === "main.ts" ? source : null),
    writeFile: (name, contents) => {
      if (name === "main.wasm") bytes = contents as Uint8Array;
    },
    listFiles: () => [],
  });
  if (error || !bytes) throw new Error(`${error?.message}\n${stderr}`);
  return new Uint8Array(bytes);
}
