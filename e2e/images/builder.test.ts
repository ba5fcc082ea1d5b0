import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { buildCommand, findBuilder, NoBuilder, type BuildRequest } from "./builder.ts";
import { bundleFiles, contentHash } from "./content.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "builder-"));
  vi.stubEnv("PATH", dir);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});

/** A program of this name that does this. */
function program(name: string, script: string): void {
  writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(dir, name), 0o755);
}

const request: BuildRequest = { context: "/src", containerfile: "/src/Containerfile", target: "felix", reference: "r/felix:1", buildArguments: { DEBIAN: "debian:12" }, timestamp: 7 };

it("names what is missing, what does not work, and what to install", async () => {
  await expect(findBuilder(null)).rejects.toThrow(new NoBuilder("no program that builds images: podman is not installed, buildah is not installed, docker is not installed. Install one, for instance: apt-get install podman"));
  program("docker", "echo Client: 20; echo 'Cannot connect to the Docker daemon' >&2; exit 1");
  await expect(findBuilder("docker")).rejects.toThrow("docker does not work (Cannot connect to the Docker daemon)");
});

it("takes the first that works, or the one that is asked for", async () => {
  for (const name of ["buildah", "docker"]) program(name, "exit 0");
  expect([(await findBuilder(null)).name, (await findBuilder("docker")).name]).toEqual(["buildah", "docker"]);
});

it("gives podman and buildah a build without a runtime, and docker its own", () => {
  const same = ["--file", "/src/Containerfile", "--target", "felix", "--tag", "r/felix:1", "--build-arg", "DEBIAN=debian:12", "/src"];
  const rootless = ["--isolation", "chroot", "--layers", "--timestamp", "7"];
  expect(buildCommand("podman", request)).toEqual(["build", ...rootless, ...same]);
  expect(buildCommand("buildah", request)).toEqual(["bud", ...rootless, ...same]);
  expect(buildCommand("docker", { ...request, target: null })).toEqual(["build", ...same.filter((word) => word !== "--target" && word !== "felix")]);
});

it("tells a failed build in the builder's last words", async () => {
  program("podman", 'test "$1" = --version || { echo "STEP 1"; echo "no space left" >&2; exit 125; }');
  await expect((await findBuilder("podman")).build(request)).rejects.toThrow("podman could not build r/felix:1:\nSTEP 1\nno space left");
});

it("reads what docker and buildah know of an image, and null when they know none", async () => {
  program("docker", `test "$1" = version || echo '[{"Id": "sha256:ab", "Size": 5, "Config": {"Labels": {"a": "b"}}}]'`);
  program("buildah", `test "$1" = --version || echo '{"FromImageID": "ab", "OCIv1": {"config": {"Labels": {"a": "b"}}}}'`);
  program("podman", 'test "$1" = --version');
  expect(await (await findBuilder("docker")).inspect("x")).toEqual({ id: "ab", labels: { a: "b" }, sizeBytes: 5 });
  expect(await (await findBuilder("buildah")).inspect("x")).toEqual({ id: "ab", labels: { a: "b" }, sizeBytes: 0 });
  expect(await (await findBuilder("podman")).inspect("x")).toBeNull();
  await expect((await findBuilder("buildah")).save(["x"], join(dir, "x.tar"))).rejects.toThrow("--save needs podman");
});

it("hashes all that an image is made of", () => {
  const write = (path: string, text: string): void => {
    mkdirSync(join(dir, path, ".."), { recursive: true });
    writeFileSync(join(dir, path), text);
  };
  for (const path of ["Containerfile", "unpack.sh", "complete.sh", "passwd", "group", "calicoctl", "init/init.c"]) write(`images/${path}`, path);
  write("package-lock.json", "{}");
  expect(() => bundleFiles(dir, "felix")).toThrow("felix is not built: npm run build");
  for (const path of ["main.mjs", "main.mjs.map", "chunk.mjs"]) write(`services/felix/dist/${path}`, path);
  expect([bundleFiles(dir, "felix"), bundleFiles(dir, "nats")]).toEqual([["services/felix/dist/chunk.mjs", "services/felix/dist/main.mjs"], []]);
  const hashes = (): string[] => [contentHash(dir, "felix", ["a"]), contentHash(dir, "nats", ["a"])];
  const [felix, nats] = hashes();
  write("services/felix/dist/main.mjs.map", "other");
  expect(hashes()).toEqual([felix, nats]);
  write("services/felix/dist/chunk.mjs", "other");
  expect(hashes()).toEqual([expect.not.stringMatching(felix ?? ""), nats]);
  for (const path of ["images/unpack.sh", "package-lock.json"]) {
    const before = readFileSync(join(dir, path), "utf8");
    write(path, "other");
    expect(hashes()[1]).not.toBe(nats);
    write(path, before);
  }
  expect(contentHash(dir, "nats", ["b"])).not.toBe(nats);
});
