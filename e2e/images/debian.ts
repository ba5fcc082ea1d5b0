/** The image of Debian that builds begin with: the official one, or one made here where no registry answers. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { NoBuilder, type Builder } from "./builder.ts";

export const OFFICIAL = "docker.io/library/debian:bookworm-slim";
/** What debootstrap made; found again by this name. */
export const HOMEMADE = "localhost/calico-build/debian:bookworm";

const MIRROR = "http://deb.debian.org";
const SOURCES = `deb ${MIRROR}/debian bookworm main\ndeb ${MIRROR}/debian bookworm-updates main\ndeb ${MIRROR}/debian-security bookworm-security main\n`;

const cacheDir = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "calico-lab");

/** When Debian's packages were last downloaded on purpose; empty: never. With `fresh` that is now. */
export function packagesOf(fresh: boolean): string {
  const file = join(cacheDir, "images-packages-of");
  if (fresh) {
    mkdirSync(cacheDir, { recursive: true });
    writeFileSync(file, new Date().toISOString());
  }
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** The name of an image of Debian 12 that is on this machine. */
export async function provideDebian(builder: Builder, onProgress: (line: string) => void): Promise<string> {
  for (const reference of [HOMEMADE, OFFICIAL]) if ((await builder.inspect(reference)) !== null) return reference;
  onProgress(`pulling ${OFFICIAL}`);
  if (await builder.pull(OFFICIAL)) return OFFICIAL;
  onProgress("no registry answers: making a Debian with debootstrap, about a minute, once");
  await bootstrap(builder);
  return HOMEMADE;
}

async function bootstrap(builder: Builder): Promise<void> {
  const remedy = `give an image of Debian 12 with --debian, or apt-get install debootstrap as root`;
  if (process.getuid?.() !== 0) throw new NoBuilder(`${OFFICIAL} cannot be pulled, and only root can make a Debian here; ${remedy}`);
  mkdirSync(cacheDir, { recursive: true });
  const dir = mkdtempSync(join(cacheDir, "debian-"));
  const root = join(dir, "root");
  try {
    must("debootstrap", ["--variant=minbase", "--include=ca-certificates,binutils", "bookworm", root, `${MIRROR}/debian`], remedy);
    writeFileSync(join(root, "etc", "apt", "sources.list"), SOURCES);
    for (const leftover of ["var/cache/apt", "var/lib/apt/lists", "var/log"]) {
      rmSync(join(root, leftover), { recursive: true, force: true });
      mkdirSync(join(root, leftover), { recursive: true });
    }
    must("tar", ["-C", root, "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", "-cf", join(dir, "root.tar"), "."], remedy);
    rmSync(root, { recursive: true });
    writeFileSync(join(dir, "Containerfile"), "FROM scratch\nADD root.tar /\n");
    await builder.build({ context: dir, containerfile: join(dir, "Containerfile"), target: null, reference: HOMEMADE, buildArguments: {}, timestamp: 0 });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function must(program: string, args: readonly string[], remedy: string): void {
  const { error, status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (error !== undefined) throw new NoBuilder(`${OFFICIAL} cannot be pulled, and ${program} is not installed; ${remedy}`);
  if (status !== 0) throw new Error(`${program} failed: ${`${stdout}${stderr}`.trim().split("\n").slice(-5).join("; ")}`);
}
