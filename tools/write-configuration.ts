/** Writes docs/configuration.md from the services' parameter tables; with --check only says whether it is current. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parameterLines, type ServiceDescription } from "../libs/service-kit/src/index.ts";

const SERVICES = ["typha", "felix", "bird", "ipam", "cni", "kube-controllers"];
const root = join(import.meta.dirname, "..");
const path = join(root, "docs", "configuration.md");

const sections: string[] = [];
for (const service of SERVICES) {
  const { description } = (await import(join(root, "services", service, "src", "config.ts"))) as { description: ServiceDescription };
  const rows = parameterLines(description).map(({ environment, shape, fallback, help, name, isLocal }) => {
    const inCluster = description.otherSources !== undefined && !isLocal ? ` In a FelixConfiguration: \`${name}\`.` : "";
    return `| \`${environment}\` | ${cell(shape)} | ${fallback === "" ? "" : `\`${cell(fallback)}\``} | ${cell(help)}${inCluster} |`;
  });
  const sources = ["environment variables", ...(description.otherSources ?? [])].join(", then ");
  sections.push(`## ${service}\n\n${capital(description.does)}. Parameters come from ${sources}.\n\n| Variable | Value | Default | Meaning |\n|---|---|---|---|\n${rows.join("\n")}\n`);
}
const text = `# Parameters of the services

Written from the tables in the code by \`npm run docs\`; \`--help\` of a service prints its own. A value in the environment that cannot be
used ends the service with exit code 2 and names the variable; one from the file or the cluster is reported, and the next source counts.

${sections.join("\n")}`;

if (!process.argv.includes("--check")) writeFileSync(path, text);
else if (readFileSync(path, "utf8") !== text) {
  console.error("docs/configuration.md is not current: run npm run docs");
  process.exit(1);
}

function cell(content: string): string {
  return content.replaceAll("|", "\\|");
}

function capital(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
