/**
 * Checks the borders between the projects of this repository: who may import whom, and that core
 * code stays core. Prints each violation as `file: reason`; exit code 1 when there is one.
 */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

type Project = { name: string; dir: string; type: string; purity: string; dependencies: Set<string>; exports: Set<string> };

/** Which types of project an importer of a type may import. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  lib: ["lib"],
  service: ["lib"],
  cli: ["lib"],
  e2e: ["lib", "e2e"],
};

const root = resolve(dirname(new URL(import.meta.url).pathname), "..");
const projects = globSync(["libs/*/package.json", "services/*/package.json", "calicoctl/package.json", "e2e/package.json"], { cwd: root }).map(readProject);
const byName = new Map(projects.map((project) => [project.name, project]));
const violations: string[] = [];

for (const project of projects) {
  const files = globSync("**/*.ts", { cwd: project.dir, exclude: (name) => name === "node_modules" || name === "dist" || name === "gen" });
  if (files.length === 0) violations.push(`${relative(root, project.dir)}: no source files found`);
  for (const file of files) checkFile(project, join(project.dir, file));
}

if (violations.length > 0) {
  console.error(violations.join("\n"));
  process.exit(1);
}
console.log(`boundaries: ${projects.length} projects, no violations`);

function readProject(path: string): Project {
  const manifest = JSON.parse(readFileSync(join(root, path), "utf8")) as {
    name: string;
    nx?: { tags?: string[] };
    dependencies?: Record<string, string>;
    devDependencies?: Record<string, string>;
    exports?: Record<string, string>;
  };
  const tag = (prefix: string): string => manifest.nx?.tags?.find((text) => text.startsWith(`${prefix}:`))?.slice(prefix.length + 1) ?? "";
  return {
    name: manifest.name,
    dir: join(root, dirname(path)),
    type: tag("type"),
    purity: tag("purity"),
    dependencies: new Set(Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })),
    exports: new Set(Object.keys(manifest.exports ?? {})),
  };
}

function checkFile(project: Project, file: string): void {
  const text = readFileSync(file, "utf8");
  const isTest = /\.test\.ts$|\/testing\/|\/bench\/|\/scripts\//.test(file);
  const report = (reason: string): void => void violations.push(`${relative(root, file)}: ${reason}`);
  for (const match of text.matchAll(/(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|(?:^|\n)\s*import\s*["']([^"']+)["']/g)) {
    const target = match[1] ?? match[2] ?? match[3] ?? "";
    if (target.startsWith(".")) {
      if (relative(project.dir, resolve(dirname(file), target)).startsWith("..")) report(`a relative import leaves the project (${target})`);
    } else if (target.startsWith("node:")) {
      if (project.purity === "core" && !isTest) report(`core code may not import ${target}`);
    } else {
      checkPackage(project, target, isTest, report);
    }
  }
}

function checkPackage(project: Project, target: string, isTest: boolean, report: (reason: string) => void): void {
  const parts = target.split("/");
  const name = target.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? "");
  const subpath = target === name ? "." : `./${target.slice(name.length + 1)}`;
  const imported = byName.get(name);
  if (!imported) {
    if (!project.dependencies.has(name) && !(isTest && ["vitest", "fast-check"].includes(name))) report(`${name} is not in the dependencies of ${project.name}`);
    return;
  }
  if (!project.dependencies.has(name)) report(`${name} is not in the dependencies of ${project.name}`);
  if (!(MAY_IMPORT[project.type] ?? []).includes(imported.type)) report(`type:${project.type} may not import type:${imported.type} (${name})`);
  if (project.purity === "core" && imported.purity !== "core" && !isTest) report(`core code may not import edge code (${name})`);
  if (!imported.exports.has(subpath)) report(`${name} does not export ${subpath}`);
}
