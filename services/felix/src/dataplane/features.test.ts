import { expect, it } from "vitest";
import { isChecksumOffloadBroken } from "./features.ts";

it.each<[string, string, boolean]>([
  ["4.18.0-553.el8", "", true], ["5.4.0-150-generic", "", true], ["5.7.19", "", true], ["5.8.0", "", false], ["5.15.0-91-generic", "", false], ["6.1.0", "", false], ["10.0.1", "", false], ["unknown", "", false],
  ["6.1.0", "ChecksumOffloadBroken=true", true], ["5.4.0", " SNATFullyRandom=false , ChecksumOffloadBroken=false", false], ["5.4.0", "ChecksumOffloadBroken=perhaps", true], ["6.1.0", "Other=true", false],
])("kernel %s with %j: checksums of tunnels are broken: %s", (release, override, broken) => expect(isChecksumOffloadBroken(release, override)).toBe(broken));
