/** The validation of NetworkPolicy that people run into. */
import { isObject, valueAt, type ApiObject, type Json } from "../object.ts";
import type { Cause } from "../status.ts";

const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"];

const wrong = (field: string, value: unknown, message: string): Cause => ({ field, reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(value)}: ${message}` });
const notSupported = (field: string, value: unknown, choices: readonly string[]): Cause => ({ field, reason: "FieldValueNotSupported", message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${choices.map((choice) => JSON.stringify(choice)).join(", ")}` });
const listOf = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);

export function checkNetworkPolicy(object: ApiObject): Cause[] {
  const spec = (object["spec"] ?? {}) as Json;
  const types = Array.isArray(spec["policyTypes"]) ? spec["policyTypes"] : [];
  return [
    ...selectorCauses("spec.podSelector", spec["podSelector"]),
    ...types.flatMap((type: unknown, i) => (type === "Ingress" || type === "Egress" ? [] : [notSupported(`spec.policyTypes[${i}]`, type, ["Ingress", "Egress"])])),
    ...([["ingress", "from"], ["egress", "to"]] as const).flatMap(([direction, peers]) => listOf(spec[direction]).flatMap((rule, i) => [
      ...listOf(rule["ports"]).flatMap((port, j) => portCauses(`spec.${direction}[${i}].ports[${j}]`, port)),
      ...listOf(rule[peers]).flatMap((peer, j) => peerCauses(`spec.${direction}[${i}].${peers}[${j}]`, peer)),
    ])),
  ];
}

function portCauses(at: string, { port, endPort, protocol }: Json): Cause[] {
  const causes: Cause[] = [];
  if (protocol !== undefined && !["TCP", "UDP", "SCTP"].includes(String(protocol as string))) causes.push(notSupported(`${at}.protocol`, protocol, ["TCP", "UDP", "SCTP"]));
  if (typeof port === "number" && (port < 1 || port > 65_535)) causes.push(wrong(`${at}.port`, port, "must be between 1 and 65535, inclusive"));
  if (typeof endPort === "number" && typeof port === "number" && endPort < port) causes.push(wrong(`${at}.endPort`, port, "must be greater than or equal to `port`"));
  return causes;
}

function peerCauses(at: string, peer: Json): Cause[] {
  if (Object.keys(peer).length === 0) return [{ field: at, reason: "FieldValueRequired", message: "Required value: must specify a peer" }];
  if (peer["ipBlock"] !== undefined && Object.keys(peer).length > 1) return [{ field: at, reason: "FieldValueForbidden", message: "Forbidden: may not specify both ipBlock and another peer" }];
  const cidr = valueAt(peer, ["ipBlock", "cidr"]);
  const isCidr = typeof cidr === "string" && /^[0-9a-fA-F.:]+\/\d+$/.test(cidr);
  return [...(cidr === undefined || isCidr ? [] : [wrong(`${at}.ipBlock.cidr`, cidr, "must be a valid CIDR value")]), ...selectorCauses(`${at}.podSelector`, peer["podSelector"]), ...selectorCauses(`${at}.namespaceSelector`, peer["namespaceSelector"])];
}

function selectorCauses(at: string, selector: unknown): Cause[] {
  const expressions = listOf(valueAt(selector, ["matchExpressions"]));
  return expressions.flatMap(({ operator }, i) => (OPERATORS.includes(String(operator as string)) ? [] : [wrong(`${at}.matchExpressions[${i}].operator`, operator, "not a valid selector operator")]));
}
