/** Writes the chart's CustomResourceDefinitions from the schemas in libs/model, and its admission policies from the rules there. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { admissionManifests, crdManifests } from "../libs/model/src/resources/index.ts";

const directory = join(import.meta.dirname, "..", "charts", "calico", "crds");
rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
for (const manifest of crdManifests()) writeFileSync(join(directory, `${manifest.metadata.name}.yaml`), `${JSON.stringify(manifest, null, 2)}\n`);

const admission = join(import.meta.dirname, "..", "charts", "calico", "files", "admission");
rmSync(admission, { recursive: true, force: true });
mkdirSync(admission, { recursive: true });
for (const [name, manifests] of Object.entries(admissionManifests())) writeFileSync(join(admission, `${name}.yaml`), manifests.map((manifest) => `${stringify(manifest, { lineWidth: 0 })}`).join("---\n"));
