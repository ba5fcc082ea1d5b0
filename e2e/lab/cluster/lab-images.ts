/** Images that the cluster needs beside Calico's: the sandbox, the lab's own server, CoreDNS and agnhost. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SERVER_IMAGE } from "../demo.ts";
import { cacheFolder, goTool } from "../programs/go.ts";
import { testPrograms } from "../programs/kubernetes.ts";
import { writeImageArchive, type ImageConfig } from "./image-archive.ts";

export const SANDBOX_IMAGE = "localhost/lab/pause:1";
export const COREDNS_IMAGE = "localhost/lab/coredns:1";
/** Under the name by which Kubernetes' own tests ask for it. */
export const AGNHOST_IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.63.0";

/** Waits until it is told to end, and collects the children that others left to it. */
const PAUSE = `#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) {
  signal(SIGINT, end);
  signal(SIGTERM, end);
  signal(SIGCHLD, reap);
  for (;;) pause();
}
`;

/** Programs that tests look for inside a container of agnhost. */
const BUSYBOX_NAMES = ["sh", "cat", "echo", "env", "grep", "hostname", "ip", "ls", "nc", "netstat", "nslookup", "ping", "ping6", "ps", "sleep", "test", "timeout", "touch", "tr", "traceroute", "wget"];

type Recipe = { readonly file: string; readonly build: (root: string) => Promise<Omit<ImageConfig, "root">> };

const recipes = {
  pause: { file: "pause-1.tar", build: async (root) => ({ name: SANDBOX_IMAGE, entrypoint: [compilePause(root)] }) },
  server: { file: "server-1.tar", build: async (root) => ({ name: SERVER_IMAGE, entrypoint: [compilePause(root)] }) },
  coredns: {
    file: "coredns-1.tar",
    async build(root) {
      copyFileSync(await goTool("coredns", () => undefined), join(root, "coredns"));
      return { name: COREDNS_IMAGE, entrypoint: ["/coredns"] };
    },
  },
  agnhost: {
    file: "agnhost-2.63.0.tar",
    async build(root) {
      mkdirSync(join(root, "bin"));
      mkdirSync(join(root, "tmp"), { mode: 0o1777 });
      copyFileSync((await testPrograms(() => undefined)).agnhost, join(root, "agnhost"));
      copyFileSync("/bin/busybox", join(root, "bin", "busybox"));
      for (const name of BUSYBOX_NAMES) symlinkSync("busybox", join(root, "bin", name));
      return { name: AGNHOST_IMAGE, entrypoint: ["/agnhost"] };
    },
  },
} satisfies Record<string, Recipe>;

export type LabImage = keyof typeof recipes;

/** Archive of an image, made when it is not there. */
export async function labImage(which: LabImage): Promise<string> {
  const { file, build }: Recipe = recipes[which];
  const archive = join(cacheFolder, "images", file);
  if (existsSync(archive)) return archive;
  mkdirSync(join(cacheFolder, "images"), { recursive: true });
  const root = mkdtempSync(`${archive}.root-`);
  try {
    writeImageArchive(archive, { root, ...(await build(root)) });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  return archive;
}


function compilePause(root: string): string {
  const source = join(root, "pause.c");
  writeFileSync(source, PAUSE);
  const { status, stderr } = spawnSync("gcc", ["-Os", "-static", "-s", "-o", join(root, "pause"), source], { encoding: "utf8" });
  if (status !== 0) throw new Error(`gcc could not compile the sandbox's program: ${stderr}`);
  rmSync(source);
  return "/pause";
}
