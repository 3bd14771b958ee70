import { fileURLToPath } from "node:url";

/** The compiled files lie in build/bench, two folders below the root of the repository. */
const root = new URL("../../", import.meta.url);

export function fromRoot(path: string): string {
  return fileURLToPath(new URL(path, root));
}
