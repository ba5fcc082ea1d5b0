/** Short words for what fast-check makes. */
import fc from "fast-check";

export type Json = Record<string, unknown>;

/** One of some values. */
export const among = <const T extends readonly unknown[]>(...items: T): fc.Arbitrary<T[number]> => fc.constantFrom(...(items as readonly T[number][]));
/** By weight. */
export const pick = <T>(...options: readonly (readonly [weight: number, arbitrary: fc.Arbitrary<T>])[]): fc.Arbitrary<T> => fc.oneof(...options.map(([weight, arbitrary]) => ({ weight, arbitrary })));
/** In so many of a hundred cases; undefined otherwise. */
export const maybe = <T>(percent: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => pick<T | undefined>([percent, arbitrary], [100 - percent, fc.constant(undefined)]);
/** A list that is not empty. */
export const few = <T>(items: fc.Arbitrary<T>, maxLength = 2): fc.Arbitrary<T[]> => fc.array(items, { minLength: 1, maxLength });
/** Some of a list, at least one. */
export const someOf = <T>(items: readonly T[], maxLength = 3): fc.Arbitrary<T[]> => fc.subarray([...items], { minLength: 1, maxLength: Math.min(maxLength, items.length) });
/** Fields of which each may be missing. */
export const some = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Json> => fc.record(fields, { requiredKeys: [] });
/** Fields that are undefined are missing. */
export const fieldsOf = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Json> => fc.record(fields).map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));
