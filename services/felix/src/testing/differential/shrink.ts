/** Makes a failing case small: whatever can go without the failure going, goes. */

type Json = readonly Json[] | { readonly [key: string]: Json } | string | number | boolean | null;

/** The smallest that is found before the time is over. `fails` is asked of smaller and smaller values. */
export async function shrink<T>(value: T, fails: (smaller: T) => Promise<boolean>, isOver: () => boolean): Promise<T> {
  let smallest = value as unknown as Json;
  for (let progress = true; progress && !isOver();) {
    progress = false;
    for (const path of pathsOf(smallest)) {
      if (isOver()) break;
      if (!exists(smallest, path)) continue;
      const smaller = without(smallest, path);
      if (!(await fails(smaller as unknown as T))) continue;
      smallest = smaller;
      progress = true;
    }
  }
  return smallest as unknown as T;
}

type Path = readonly (string | number)[];

/** Items and fields, outer ones first, later items first: taking one away does not move those before it. */
function pathsOf(value: Json): Path[] {
  const paths: Path[] = [];
  let level: { readonly value: Json; readonly path: Path }[] = [{ value, path: [] }];
  while (level.length > 0) {
    const next: typeof level = [];
    for (const each of level) {
      const keys = Array.isArray(each.value) ? [...each.value.keys()].reverse() : each.value !== null && typeof each.value === "object" ? Object.keys(each.value) : [];
      for (const key of keys) {
        const path = [...each.path, key];
        paths.push(path);
        next.push({ value: at(each.value, key) as Json, path });
      }
    }
    level = next;
  }
  return paths;
}

const at = (value: Json | undefined, key: string | number): Json | undefined => (value === undefined || value === null || typeof value !== "object" ? undefined : (value as { readonly [key: string | number]: Json })[key]);
const exists = (value: Json, path: Path): boolean => path.reduce<Json | undefined>((inner, key) => at(inner, key), value) !== undefined;

function without(value: Json, [key, ...rest]: Path): Json {
  if (key === undefined) return value;
  if (Array.isArray(value)) return rest.length === 0 ? value.filter((_, i) => i !== key) : value.map((item: Json, i) => (i === key ? without(item, rest) : item));
  const fields = Object.entries(value as { readonly [key: string]: Json });
  return Object.fromEntries(rest.length === 0 ? fields.filter(([name]) => name !== key) : fields.map(([name, inner]) => [name, name === key ? without(inner, rest) : inner]));
}
