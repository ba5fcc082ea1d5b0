/** Kinds of parameters. */
import { isIP } from "node:net";
import { nearest } from "@calico/model";
import { Param, ParamError } from "./types.ts";

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Duration given as a number of seconds or as Go writes it ("1m30s", "500ms"); its value is milliseconds. */
export function duration(fallbackMs: number): Param<number> {
  return new Param<number>({ parse: parseDuration, shape: "duration (90s, 1m30s, or seconds)", fallback: fallbackMs });
}

function parseDuration(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) throw new ParamError("is not a duration", 'write "90s", "1m30s" or a number of seconds');
  return parts.reduce((sum, [, value, unit]) => sum + Number(value) * (UNIT_MS[unit ?? ""] ?? 0), 0);
}

/** A number of seconds; its value is milliseconds. */
export function seconds(fallbackSeconds: number): Param<number> {
  return duration(fallbackSeconds * 1000);
}

export function int(fallback: number, { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {}): Param<number> {
  return new Param<number>({
    parse(text) {
      const value = Number(text);
      if (!/^-?\d+$/.test(text) || value < min || value > max) throw new ParamError(`is not a whole number from ${min} to ${max}`);
      return value;
    },
    shape: "integer",
    fallback,
  });
}

export function port(fallback: number): Param<number> {
  return int(fallback, { min: 0, max: 65_535 });
}

/** As Go's ParseBool, and "yes"/"no", "enabled"/"disabled". */
export function bool(fallback: boolean): Param<boolean> {
  return new Param<boolean>({
    parse(text) {
      const value = text.toLowerCase();
      if (["true", "1", "t", "yes", "y", "enabled"].includes(value)) return true;
      if (["false", "0", "f", "no", "n", "disabled"].includes(value)) return false;
      throw new ParamError("is not a boolean", 'write "true" or "false"');
    },
    shape: "boolean",
    fallback,
  });
}

export function text(fallback: string): Param<string> {
  return new Param<string>({ parse: (value) => value, shape: "text", fallback });
}

/** Text of a form; `form` is the form in words. */
export function pattern(fallback: string, regExp: RegExp, form: string): Param<string> {
  return new Param<string>({
    parse(given) {
      if (regExp.test(given)) return given;
      throw new ParamError(`is not ${form}`);
    },
    shape: "text",
    fallback,
  });
}

/** One of a few words, in any case. */
export function oneOf<const T extends string>(values: readonly T[], fallback: T): Param<T> {
  return new Param<T>({
    parse(given) {
      const found = values.find((value) => value.toLowerCase() === given.toLowerCase());
      if (found !== undefined) return found;
      const near = nearest(given, values);
      throw new ParamError(`is none of ${values.join(", ")}`, near === null ? undefined : `did you mean ${near}?`);
    },
    shape: values.join(" | "),
    fallback,
  });
}

export function textList(fallback: readonly string[] = []): Param<readonly string[]> {
  return new Param<readonly string[]>({ parse: splitList, shape: "comma-separated list", fallback });
}

export function cidrList(fallback: readonly string[] = []): Param<readonly string[]> {
  return new Param<readonly string[]>({
    parse: (given) => splitList(given).map((item) => {
      if (!isCidr(item)) throw new ParamError(`has ${JSON.stringify(item)}, which is no CIDR`);
      return item;
    }),
    shape: "comma-separated list of CIDRs",
    fallback,
  });
}

function isCidr(item: string): boolean {
  const [address = "", length, more] = item.split("/");
  const family = isIP(address);
  return family !== 0 && more === undefined && length !== undefined && /^\d+$/.test(length) && Number(length) <= (family === 4 ? 32 : 128);
}

function splitList(given: string): string[] {
  return given.split(",").map((item) => item.trim()).filter((item) => item !== "");
}
