/** What is changed of the conformance tests of ClusterNetworkPolicy before they are built. Pure. */

/** What a test says when a connection over SCTP was left out of it. */
export const LEFT_OUT = "left out: a connection over SCTP";

/**
 * The pods of the tests without their SCTP servers, whose containers never start where the kernel has no SCTP sockets, and
 * with this image. Throws when no container is a server of SCTP.
 */
export function withoutSctpServers(manifests: string, image: string): string {
  const [head = "", ...containers] = manifests.split(/^(?= {8}- name: )/m);
  // After the last container of an object come the objects that follow it.
  const kept = containers.map((container) => {
    const end = container.search(/^---$/m);
    const [own, rest] = end === -1 ? [container, ""] : [container.slice(0, end), container.slice(end)];
    return own.includes("SERVE_SCTP_PORT_") ? rest : own + rest;
  });
  const text = [head, ...kept].join("");
  if (text.length === manifests.length) throw new Error("the manifests of the conformance tests have no SCTP servers where they are looked for");
  return text.replaceAll(/\bimage: \S*\/agnhost:\S+/g, `image: ${image}`);
}

const PROBE = /^func PokeServer\(t \*testing\.T, .* protocol, .*\{\n/gm;

/** Tests of SCTP skip themselves; others go on without their connections over it, and say so. Throws when the function that connects is not there. */
export function withoutSctpConnections(source: string): string {
  if ([...source.matchAll(PROBE)].length !== 1) throw new Error("the conformance tests have no PokeServer where it is looked for");
  return source.replace(PROBE, (signature) => `${signature}\tif protocol == "sctp" {\n\t\tif strings.Contains(t.Name(), "SCTP/") {\n\t\t\tt.Skip("SCTP")\n\t\t}\n\t\tt.Log("${LEFT_OUT}")\n\t\treturn\n\t}\n`);
}
