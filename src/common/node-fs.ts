/** The file system, where there is one: Node's, asked for in a way that browsers do not see. */

interface FileSystem {
  realpathSync: { native(path: string): string };
}

function fileSystem(): FileSystem | undefined {
  if (typeof process !== "object" || typeof process.getBuiltinModule !== "function")
    return undefined;
  return process.getBuiltinModule("node:fs");
}

/** The path without links and dots; undefined where nothing is, and where there are no files. */
export function pathResolve(path: string): string | undefined {
  try {
    return fileSystem()?.realpathSync.native(path);
  } catch {
    return undefined;
  }
}
