/** Builds images of components: what `npm run images` does, and what a lab calls. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { repositoryRoot } from "../lab/paths.ts";
import { COMPONENTS, LOCAL_REGISTRY, type ComponentName, type ImageOptions } from "./arguments.ts";
import { findBuilder, type Builder, type ImageFacts } from "./builder.ts";
import { contentHash } from "./content.ts";
import { packagesOf, provideDebian } from "./debian.ts";

export type BuiltImage = {
  readonly component: ComponentName;
  /** "localhost/calico/felix:0.1.0" */
  readonly reference: string;
  readonly imageId: string;
  /** Unpacked, with the layers that other images share; 0 when the builder does not tell. */
  readonly sizeBytes: number;
  /** False: it was there already. */
  readonly isNew: boolean;
  /** The archive that has it, the same for all images of one call; null when none was asked for. */
  readonly archive: string | null;
};

export type BuildImagesOptions = Partial<ImageOptions> & { readonly onProgress?: (line: string) => void };

/** Name of the archive in the folder given with saveDir. */
export const ARCHIVE = "calico-images.tar";
/** Label that says what an image was made of. */
const CONTENT_LABEL = "calico.content";

/** The version of the project. */
export function projectVersion(): string {
  return (JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as { version: string }).version;
}

/**
 * Builds the images whose content changed, and with `saveDir` writes them into one archive. The bundles must be built.
 * Throws NoBuilder when this machine has nothing to build with, and an Error with the builder's last words when a build fails.
 */
export async function buildImages({ components = COMPONENTS, registry = LOCAL_REGISTRY, tag = null, builder: wanted = null, debian = null, saveDir = null, push = false, fresh = false, onProgress = () => {} }: BuildImagesOptions = {}): Promise<BuiltImage[]> {
  const builder = await findBuilder(wanted);
  const version = projectVersion();
  const base = debian ?? (await provideDebian(builder, onProgress));
  const buildArguments = { DEBIAN: base, PACKAGES_OF: packagesOf(fresh) };
  const source = describeSource();
  const timestamp = sourceDate();
  compileInit();

  const images: (Omit<BuiltImage, "archive">)[] = [];
  for (const component of components) {
    const reference = `${registry}/${component}:${tag ?? version}`;
    const content = contentHash(repositoryRoot, component, [...Object.values(buildArguments), version, String(timestamp), process.arch]);
    const before = await builder.inspect(reference);
    const isNew = before?.labels[CONTENT_LABEL] !== content;
    if (isNew) {
      onProgress(`${component}: building ${reference}`);
      const containerfile = labelledContainerfile(component, { "org.opencontainers.image.version": version, ...source, [CONTENT_LABEL]: content });
      await builder.build({ context: repositoryRoot, containerfile, target: "labelled", reference, buildArguments, timestamp });
    } else {
      onProgress(`${component}: unchanged`);
    }
    const facts = isNew ? await inspectBuilt(builder, reference) : before;
    images.push({ component, reference, imageId: facts.id, sizeBytes: facts.sizeBytes, isNew });
  }
  if (push) {
    for (const { reference } of images) {
      onProgress(`pushing ${reference}`);
      await builder.push(reference);
    }
  }
  const archive = saveDir === null ? null : await saveArchive(builder, images, resolve(saveDir), onProgress);
  return images.map((image) => ({ ...image, archive }));
}

/**
 * The Containerfile with one more stage, which sets these labels. They stand in its text because builders take a step from
 * their cache by its text: labels given on the command line can be those of an earlier build.
 */
function labelledContainerfile(component: ComponentName, labels: Readonly<Record<string, string>>): string {
  const file = join(repositoryRoot, "images", "dist", `Containerfile.${component}`);
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  writeFileSync(file, `${readFileSync(join(repositoryRoot, "images", "Containerfile"), "utf8")}\nFROM ${component} AS labelled\nLABEL ${pairs.join(" ")}\n`);
  return file;
}

async function inspectBuilt(builder: Builder, reference: string): Promise<ImageFacts> {
  const facts = await builder.inspect(reference);
  if (facts === null) throw new Error(`${builder.name} built ${reference} and does not know it`);
  return facts;
}

/** Writes the archive unless the one that is there has the same images. Beside it stands what is in it. */
async function saveArchive(builder: Builder, images: readonly { reference: string; imageId: string }[], dir: string, onProgress: (line: string) => void): Promise<string> {
  const archive = join(dir, ARCHIVE);
  const listFile = `${archive}.json`;
  const list = `${JSON.stringify(Object.fromEntries(images.map(({ reference, imageId }) => [reference, imageId])), null, 2)}\n`;
  if (existsSync(archive) && existsSync(listFile) && readFileSync(listFile, "utf8") === list) return archive;
  onProgress(`saving ${archive}`);
  mkdirSync(dir, { recursive: true });
  // Somebody may be reading the one that is there.
  // Its own name: two labs may start at once.
  const unfinished = `${archive}.new-${process.pid}`;
  await builder.save(images.map(({ reference }) => reference), unfinished);
  renameSync(unfinished, archive);
  writeFileSync(listFile, list);
  return archive;
}

/** The first process of every container, from its source. */
function compileInit(): void {
  const dist = join(repositoryRoot, "images", "dist");
  mkdirSync(dist, { recursive: true });
  const { error, status, stderr } = spawnSync("gcc", ["-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-o", join(dist, "init"), join(repositoryRoot, "images", "init", "init.c")], { encoding: "utf8" });
  if (error !== undefined) throw new Error("gcc is not installed: apt-get install gcc libc6-dev");
  if (status !== 0) throw new Error(`gcc could not compile images/init/init.c:\n${stderr}`);
}

function git(...args: string[]): string {
  const { status, stdout } = spawnSync("git", args, { cwd: repositoryRoot, encoding: "utf8" });
  return status === 0 ? stdout.trim() : "";
}

/** Where the images come from, as far as it is known. */
function describeSource(): Record<string, string> {
  const revision = git("rev-parse", "HEAD");
  const origin = git("remote", "get-url", "origin");
  return {
    ...(revision === "" ? {} : { "org.opencontainers.image.revision": git("status", "--porcelain") === "" ? revision : `${revision}-dirty` }),
    ...(/^https:\/\/[^@]+$/.test(origin) ? { "org.opencontainers.image.source": origin } : {}),
  };
}

/**
 * The date of every file in the images: SOURCE_DATE_EPOCH, or when Node.js or another package last changed. Not the last
 * commit, so that layers which did not change stay the same byte by byte.
 */
function sourceDate(): number {
  const given = process.env["SOURCE_DATE_EPOCH"] ?? "";
  if (/^\d+$/.test(given)) return Number(given);
  return Number(git("log", "-1", "--format=%ct", "--", "package-lock.json"));
}
