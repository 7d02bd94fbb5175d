/** Why a node does not start, in a sentence that says what to do; `code` is stable. */
export class DaemonError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'DaemonError';
    this.code = code;
  }
}
