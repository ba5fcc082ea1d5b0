/** Writes the CustomResourceDefinitions of the chart from the schemas in libs/model. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crdManifests } from "../libs/model/src/resources/index.ts";

const directory = join(import.meta.dirname, "..", "charts", "calico", "crds");
rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
for (const manifest of crdManifests()) writeFileSync(join(directory, `${manifest.metadata.name}.yaml`), `${JSON.stringify(manifest, null, 2)}\n`);
