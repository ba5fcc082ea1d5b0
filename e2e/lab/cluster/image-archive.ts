/** Writes a container image of one layer as an archive that containerd imports ("docker save" of today), without a builder. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export type ImageConfig = {
  /** "localhost/lab/server:1". */
  readonly name: string;
  /** Folder whose content is the image's root. */
  readonly root: string;
  readonly entrypoint: readonly string[];
  /** Its arguments when a pod gives none. */
  readonly command?: readonly string[];
  readonly user?: string;
  readonly workingDir?: string;
};

/** Writes the archive; the same content gives the same image. Throws with tar's words. */
export function writeImageArchive(file: string, { name, root, entrypoint, command = [], user = "", workingDir = "/" }: ImageConfig): void {
  mkdirSync(dirname(file), { recursive: true });
  const work = mkdtempSync(`${file}.work-`);
  try {
    tar(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C", root, "-cf", join(work, "layer.tar"), "."]);
    const config = JSON.stringify({
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: { Entrypoint: entrypoint, Cmd: command, User: user, WorkingDir: workingDir, Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] },
      rootfs: { type: "layers", diff_ids: [`sha256:${sha256(readFileSync(join(work, "layer.tar")))}`] },
    });
    const configFile = `${sha256(Buffer.from(config))}.json`;
    writeFileSync(join(work, configFile), config);
    writeFileSync(join(work, "manifest.json"), JSON.stringify([{ Config: configFile, RepoTags: [name], Layers: ["layer.tar"] }]));
    tar(["-C", work, "-cf", join(work, "image.tar"), "manifest.json", configFile, "layer.tar"]);
    renameSync(join(work, "image.tar"), file);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

function tar(args: readonly string[]): void {
  const { status, stderr, error } = spawnSync("tar", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`tar: ${stderr?.trim() || error?.message}`);
}
