/** Where things are: tests run on a copy of build/ beside it, so that a build may come meanwhile. */
import { fileURLToPath } from "node:url";

/** The checkout, with what is committed. */
export const root = fileURLToPath(new URL("../../../", import.meta.url));

/** The copy that this test runs in: a package of modules that are not bundled. */
export const built = fileURLToPath(new URL("../../", import.meta.url));

/** The compiled modules of src, as a URL to import from. */
export const modules = new URL("../../src/", import.meta.url).href;

/** The package as it is published. */
export const dist = fileURLToPath(new URL("../../dist/", import.meta.url));

/** The command line. */
export const cli = `${dist}cli.js`;
