import { expect, it } from "vitest";
import { crc32c, internetChecksum, sctpPacket, socketAddress } from "./sockets.ts";

it("computes the CRC of RFC 3720's example", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
});

it("computes the checksum of RFC 1071's example", () => {
  expect(internetChecksum(Uint8Array.from([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]))).toBe(0x220d);
});

it("lays out socket addresses of both families", () => {
  expect(socketAddress("10.0.0.1", 80).bytes.toString("hex")).toBe("020000500a0000010000000000000000");
  expect(socketAddress("fd00::1", 80).bytes.toString("hex")).toBe(`0a00005000000000fd00${"0".repeat(26)}0100000000`.slice(0, 56));
  expect(() => socketAddress("web", 80)).toThrow('"web" is not an IP address');
});

it("makes an INIT whose checksum is right", () => {
  const packet = sctpPacket(40_000, 9, 0, 1);
  const checksum = packet.readUInt32LE(8);
  packet.writeUInt32LE(0, 8);
  expect([packet.length, packet[12], crc32c(packet) === checksum]).toEqual([32, 1, true]);
});
