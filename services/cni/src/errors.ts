/** Errors in the form that container runtimes read (CNI specification 1.1, "Error"). */

/** Codes of the specification, and own ones from 100 on. */
export const CODE = { incompatibleVersion: 1, unsupportedField: 2, unknownContainer: 3, invalidEnvironment: 4, io: 5, decode: 6, invalidConfig: 7, tryLater: 11, notAvailable: 50, failed: 100 } as const;

export class CniError extends Error {
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string, details = "", options?: ErrorOptions) {
    super(message, options);
    this.name = "CniError";
    this.code = code;
    this.details = details;
  }
}

/** The JSON that is printed for an error. */
export function renderError(error: CniError, cniVersion: string): string {
  return JSON.stringify({ cniVersion, code: error.code, msg: error.message, details: error.details });
}
