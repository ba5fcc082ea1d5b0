/** Prints figures, a JSON line each. */
export function reporter(name: string): (metric: string, value: number, unit: string) => void {
  return (metric, value, unit) => console.log(JSON.stringify({ name, metric, value: Number(value.toPrecision(4)), unit }));
}
