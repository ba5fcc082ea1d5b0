/** How readers of a rule give up on it. */

/** Thrown inside the conversion of a rule and caught by it: some part cannot be read, so the rule means nothing. */
export class UnusableRule extends Error {
  readonly field: string;
  readonly suggestion: string | undefined;

  constructor(field: string, message: string, suggestion?: string) {
    super(message);
    this.field = field;
    this.suggestion = suggestion;
  }
}

/** Refuses fields outside of `known`: one that is newer than this program may restrict what it stands in. */
export function unusableField(field: string, suggestion: string | undefined): UnusableRule {
  return new UnusableRule(field, "is not a field that this version knows", suggestion);
}
