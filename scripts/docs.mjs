/** Writes the generated pages of docs/ from the tables in the built package. */
import { writeFileSync } from "node:fs";
import { optionsPage } from "../dist/options.js";

writeFileSync(new URL("../docs/options.md", import.meta.url), optionsPage());
