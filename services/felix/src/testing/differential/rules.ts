/** Random rules of Calico's policies, with every field that a rule can have. */
import fc from "fast-check";
import { among, few, fieldsOf, maybe, pick, some, someOf, type Json } from "./arbitrary.ts";

export const NAMESPACES = ["a", "b"];
export const ACCOUNTS = ["front", "back"];
export const SERVICES = ["v", "w"];
export const NETS = {
  4: ["0.0.0.0/0", "10.65.0.0/24", "10.65.0.2/32", "10.65.0.0/31", "10.64.0.0/10", "198.51.100.0/24", "198.51.100.128/25", "203.0.113.7/32", "128.0.0.0/1"],
  6: ["::/0", "fd65::/64", "fd65::2/128", "fd00::/8", "2001:db8::/32", "2001:db8:0:1::/64", "8000::/1"],
} as const;

export const labels = some({ app: among("web", "db", "cache"), team: among("red", "blue"), "example.com/zone": among("1", "2") });
export const selector = among(
  "all()", "app == 'web'", "app != 'db'", "has(team)", "!has(app)", "app in {'web', 'cache'}", "app not in {'web'}", "app contains 'e'", "app starts with 'd'", "team ends with 'd'", "app == 'web' && team == 'red'",
  "app == 'db' || !(team == 'blue')", "projectcalico.org/namespace == 'a'", "projectcalico.org/namespace != 'b'", "projectcalico.org/serviceaccount == 'front'", "projectcalico.org/orchestrator == 'k8s'", "example.com/zone == '1'",
);
export const namespaceSelector = among("all()", "team == 'red'", "team != 'red'", "has(team)", "projectcalico.org/name == 'a'", "!has(app)");
export const portNumber = among(53, 80, 443, 8_080, 8_081, 1, 65_535);
export const portName = among("http", "dns", "signal", "nobody");

const accounts = pick<Json>([4, some({ names: someOf(ACCOUNTS), selector: among("team == 'red'", "has(app)", "all()") })], [1, fc.constant({ names: [] })]);
const ports = few(pick<number | string>([2, portNumber], [1, portNumber.map(String)], [1, among("80:443", "8080:8081", "1:65535", "1024:65535", "53:53")], [2, portName]), 4);

type Side = { readonly which: "source" | "destination"; /** It is the other end, which may be a Service. */ readonly isPeer: boolean; readonly family: 4 | 6; readonly withPorts: boolean; readonly isGlobal: boolean };

/** One side of a rule: mostly nobody in particular, or with one or two criteria, so that many packets match. */
function entity({ which, isPeer, family, withPorts, isGlobal }: Side): fc.Arbitrary<Json> {
  const criteria: Record<string, fc.Arbitrary<unknown>> = {
    selector, notSelector: selector, namespaceSelector: fc.oneof(namespaceSelector, fc.constant("global()")), serviceAccounts: accounts, nets: someOf(NETS[family]), notNets: someOf(NETS[family].slice(1)), ...(withPorts ? { ports, notPorts: ports } : {}),
  };
  const oneOrTwo = someOf(Object.entries(criteria), 2).chain((kept) => fc.record(Object.fromEntries(kept)) as fc.Arbitrary<Json>);
  const plain = pick<Json>([3, fc.constant({})], [6, oneOrTwo], [1, some(criteria)]);
  const services = fc.record({ name: among(...SERVICES), namespace: among(...NAMESPACES) }, isGlobal ? {} : { requiredKeys: ["name"] });
  const service = fieldsOf({ services, ports: which === "source" && withPorts ? maybe(50, ports) : fc.constant(undefined) });
  return isPeer ? pick([6, plain], [1, service]) : plain;
}

const icmp = fc.oneof(fc.record({ type: among(0, 3, 8, 128, 129) }), fc.record({ type: among(3, 8, 128), code: among(0, 1) }));
/** What a rule says of the protocol, and whether it may name ports then. */
const protocols = pick<{ readonly fields: Json; readonly withPorts: boolean }>(
  [3, fc.constant({ fields: {}, withPorts: false })],
  [8, among("TCP", "UDP", "SCTP", "tcp", 6, 17, 132, "6").map((protocol) => ({ fields: { protocol }, withPorts: true }))],
  [3, fc.tuple(among("ICMP", "ICMPv6", 1, 58), some({ icmp, notICMP: icmp })).map(([protocol, more]) => ({ fields: { protocol, ...more }, withPorts: false }))],
  [1, among("UDPLite", 47, "4").map((protocol) => ({ fields: { protocol }, withPorts: false }))],
  [2, among("TCP", "UDP", "ICMP", 58, 132).map((notProtocol) => ({ fields: { notProtocol }, withPorts: false }))],
);

/** Most rules can be used; the others have ports without a protocol for them. */
function rule(direction: "ingress" | "egress", isGlobal: boolean): fc.Arbitrary<Json> {
  return fc.tuple(protocols, pick<4 | 6>([3, fc.constant(4)], [2, fc.constant(6)]), maybe(5, fc.constant(true))).chain(([{ fields, withPorts }, family, isStrange]) => {
    const side = { family, isGlobal, withPorts: withPorts || isStrange === true };
    return fieldsOf({
      action: among("Allow", "Allow", "Deny", "Deny", "Pass", "Log"),
      source: entity({ which: "source", isPeer: direction === "ingress", ...side }), destination: entity({ which: "destination", isPeer: direction === "egress", ...side }),
      ipVersion: maybe(20, fc.constant(family)), http: maybe(3, fc.constant({ methods: ["GET"] })),
    }).map((rest) => ({ ...rest, ...fields }));
  });
}

export const rules = (direction: "ingress" | "egress", isGlobal: boolean): fc.Arbitrary<Json[]> =>
  pick([8, fc.array(rule(direction, isGlobal), { maxLength: 4 })], [1, fc.array(rule(direction, isGlobal), { minLength: 5, maxLength: 12 })]);
