/** Images that the cluster needs beside Calico's: the sandbox, the lab's own server, CoreDNS and agnhost. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { createAuthority } from "@calico/pki";
import { SERVER_IMAGE } from "../demo.ts";
import { cacheFolder, goTool } from "../programs/go.ts";
import { testPrograms } from "../programs/kubernetes.ts";
import { writeImageArchive, type ImageConfig } from "./image-archive.ts";

export const SANDBOX_IMAGE = "localhost/lab/pause:1";
export const COREDNS_IMAGE = "localhost/lab/coredns:1";
/** Under the names by which Kubernetes' own tests ask for them. */
export const DNS_TESTING_IMAGE = "registry.k8s.io/e2e-test-images/glibc-dns-testing:2.0.0";
export const BUSYBOX_IMAGE = "registry.k8s.io/e2e-test-images/busybox:1.37.0-1";
export const PAUSE_IMAGE = "registry.k8s.io/pause:3.10.2";
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

/** Programs that tests start inside a container of agnhost, and busybox for what is missing (its wget crashes where names are looked up). */
const PROGRAMS = ["/usr/bin/curl", "/usr/bin/wget", "/usr/bin/nc", "/usr/bin/dig", "/usr/bin/ping", "/usr/bin/getent", "/usr/bin/bash", "/usr/bin/dash"];
const BUSYBOX_NAMES = ["awk", "cat", "chmod", "cut", "date", "echo", "env", "grep", "head", "hostname", "id", "ip", "ls", "mkdir", "netstat", "nslookup", "ping6", "ps", "rm", "sed", "seq", "sleep", "sort", "tail", "tee", "test", "timeout", "touch", "tr", "traceroute", "uniq", "wc", "xargs"];

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
    file: "agnhost-2.63.0-6.tar",
    async build(root) {
      copyFileSync((await testPrograms(() => undefined)).agnhost, join(root, "agnhost"));
      // As the image of that name has it, for tests with a DNS server of their own.
      copyFileSync(await goTool("coredns", () => undefined), join(root, "coredns"));
      await writeServerCertificate(root);
      copyTools(root);
      return { name: AGNHOST_IMAGE, entrypoint: ["/agnhost"], command: ["pause"] };
    },
  },
  dnsTesting: {
    file: "glibc-dns-testing-2.0.0-4.tar",
    async build(root) {
      copyTools(root);
      return { name: DNS_TESTING_IMAGE, entrypoint: ["/bin/sh", "-c", "sleep 86400"] };
    },
  },
  pauseForTests: { file: "pause-3.10.2.tar", build: async (root) => ({ name: PAUSE_IMAGE, entrypoint: [compilePause(root)] }) },
  busybox: {
    file: "busybox-1.37.0-4.tar",
    async build(root) {
      copyTools(root);
      return { name: BUSYBOX_IMAGE, entrypoint: [] };
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

/** Of the servers that agnhost is on request; whoever asks them does not check it. */
async function writeServerCertificate(root: string): Promise<void> {
  const lifetime = { now: new Date(), lifetimeMs: 10 * 365 * 24 * 3_600_000 };
  const authority = await createAuthority({ commonName: "agnhost", ...lifetime });
  const { certificate, key } = await authority.issue({ commonName: "localhost", dns: ["localhost"], ip: ["127.0.0.1", "::1"], ...lifetime });
  writeFileSync(join(root, "localhost.crt"), certificate);
  writeFileSync(join(root, "localhost.key"), key);
}

function compilePause(root: string): string {
  const source = join(root, "pause.c");
  writeFileSync(source, PAUSE);
  const { status, stderr } = spawnSync("gcc", ["-Os", "-static", "-s", "-o", join(root, "pause"), source], { encoding: "utf8" });
  if (status !== 0) throw new Error(`gcc could not compile the sandbox's program: ${stderr}`);
  rmSync(source);
  return "/pause";
}

/** A root with the programs that tests use and the libraries of each. Throws when one is not installed. */
function copyTools(root: string): void {
  for (const dir of ["bin", "etc", "tmp"]) mkdirSync(join(root, dir), { mode: dir === "tmp" ? 0o1777 : 0o755 });
  // Without it, the C library would ask a DNS server first and leave it at that.
  writeFileSync(join(root, "etc", "nsswitch.conf"), "hosts: files dns\n");
  copyFileSync("/bin/busybox", join(root, "bin", "busybox"));
  for (const name of BUSYBOX_NAMES) symlinkSync("busybox", join(root, "bin", name));
  const missing = PROGRAMS.filter((program) => !existsSync(program));
  if (missing.length > 0) throw new Error(`${missing.join(", ")} are missing; install them with: apt-get install curl wget netcat-openbsd bind9-dnsutils iputils-ping bash`);
  // Not busybox's shell: it takes its own nc and ping before those of the path.
  symlinkSync("dash", join(root, "bin", "sh"));
  for (const program of PROGRAMS) {
    copyFileSync(program, join(root, "bin", basename(program)));
    for (const library of librariesOf(program)) {
      const target = join(root, library);
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(library, target);
    }
  }
}

/** Paths of a program's shared libraries, the loader included. */
const librariesOf = (program: string): string[] => [...spawnSync("ldd", [program], { encoding: "utf8" }).stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path ?? "");
