/** What can go wrong with a chain backend, each with a code and both values in its message. */

export type ChainErrorCode =
  /** The settings contradict each other; no retry helps. */
  | 'chain_settings'
  | 'chain_wrong_network'
  /** The daemon does not take our name and password (or cookie). */
  | 'chain_unauthorized'
  /** The daemon, which writes its cookie when it starts, has not done so. */
  | 'chain_no_cookie'
  | 'chain_unreachable'
  | 'chain_timeout'
  /** It is starting, or its work queue is full. */
  | 'chain_busy'
  /** It has not all blocks that it knows of. */
  | 'chain_behind'
  /** It has thrown away a block that we need. */
  | 'chain_pruned'
  /** What it answers is no answer to what we asked. */
  | 'chain_nonsense'
  /** It understood, and says no: `rpc_code` and its own words are kept. */
  | 'chain_refused'
  | 'chain_no_estimate'
  | 'chain_closed';

export class ChainError extends Error {
  readonly code: ChainErrorCode;
  /** Bitcoin Core's error number, of `chain_refused` and `chain_busy`. */
  readonly rpc_code: number | undefined;
  constructor(code: ChainErrorCode, message: string, rpc_code?: number) {
    super(message);
    this.name = 'ChainError';
    this.code = code;
    this.rpc_code = rpc_code;
  }
}

const PASSING: ReadonlySet<ChainErrorCode> = new Set(['chain_unreachable', 'chain_timeout', 'chain_busy', 'chain_nonsense']);

/** The same call may well succeed a moment later. */
export const isPassing = (error: unknown): boolean => error instanceof ChainError && PASSING.has(error.code);

const LASTING: ReadonlySet<ChainErrorCode> = new Set(['chain_settings', 'chain_wrong_network', 'chain_unauthorized', 'chain_closed']);

/** No waiting helps: somebody has to change the settings. What is no ChainError is a bug of ours. */
export const isLasting = (error: unknown): boolean => !(error instanceof ChainError) || LASTING.has(error.code);

/** The daemon's own refusal with this number. */
export const isRefusal = (error: unknown, rpc_code: number): boolean => error instanceof ChainError && error.rpc_code === rpc_code;

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
