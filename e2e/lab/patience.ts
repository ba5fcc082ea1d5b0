/**
 * Deadlines are written for a machine of one's own. Where many things run side by side everything takes longer, and what
 * is waited for comes all the same: the test command gives more time.
 */
const FACTOR = Number(process.env["CALICO_PATIENCE"] ?? 1);

/** As many milliseconds as this machine gets where another needs `ms`. */
export const patient = (ms: number): number => ms * FACTOR;

/** The same as a duration that kubectl and helm read ("60s"). */
export const patientSeconds = (seconds: number): string => `${Math.ceil(seconds * FACTOR)}s`;
