/** Whether the chain can be watched at all: no payment is accepted whose deadline would pass unseen (BOLT 2, "cltv_expiry_delta Selection"). */
import type { BlockHeight } from '../../bolt/primitives.ts';
import type { Chain } from '../../domain/ports.ts';

/** Why a deadline might be missed; both values. */
export type ChainTrouble =
  | { readonly code: 'chain_silent'; readonly silent_seconds: number; readonly limit_seconds: number }
  | { readonly code: 'chain_behind'; readonly height: BlockHeight; readonly tip: BlockHeight; readonly limit_blocks: number };

export interface ContactLimits {
  /** Seconds without an answer of the chain. */
  readonly silent_seconds: number;
  /** Blocks that the chain has and our channels have not heard of. */
  readonly behind_blocks: number;
}

export const DEFAULT_CONTACT_LIMITS: ContactLimits = { silent_seconds: 7200, behind_blocks: 6 };

export interface ChainContact {
  /** Undefined while every deadline can be kept. */
  trouble(): ChainTrouble | undefined;
  /** The newest block that the chain told of. */
  readonly tip: BlockHeight;
  /** Looks now. Never rejects. */
  look(): Promise<void>;
  start(): void;
  stop(): void;
}

export interface ContactOptions {
  readonly chain: Pick<Chain, 'tip'>;
  /** Of the last block that all channels have heard of. */
  readonly height: () => BlockHeight;
  /** Unix seconds. */
  readonly now: () => number;
  readonly limits?: Partial<ContactLimits>;
  readonly log: (line: string) => void;
}

const LOOK_MS = 15_000;

export function createChainContact({ chain, height, now, limits, log }: ContactOptions): ChainContact {
  const { silent_seconds: limit_seconds, behind_blocks: limit_blocks } = { ...DEFAULT_CONTACT_LIMITS, ...limits };
  let heardAt = now();
  let tip = 0;
  let told: string | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;

  function trouble(): ChainTrouble | undefined {
    const silent_seconds = now() - heardAt;
    if (silent_seconds > limit_seconds) return { code: 'chain_silent', silent_seconds, limit_seconds };
    return tip - height() > limit_blocks ? { code: 'chain_behind', height: height(), tip, limit_blocks } : undefined;
  }

  /** Once when it begins, once when it is over. */
  function say(): void {
    const code = trouble()?.code;
    if (code === told) return;
    told = code;
    log(code === undefined ? 'the chain can be watched again: payments are taken' : `${describeTrouble(trouble()!)}: no new payment is taken until that is over`);
  }

  async function look(): Promise<void> {
    try {
      ({ height: tip } = await chain.tip());
      heardAt = now();
    } catch {
      // The backend says by itself what is wrong with it; here only the silence counts.
    }
    say();
  }

  return {
    trouble,
    get tip() { return tip; },
    look,
    start() {
      timer ??= setInterval(() => void look(), LOOK_MS);
      timer.unref();
    },
    stop: () => clearInterval(timer),
  };
}

export const describeTrouble = (trouble: ChainTrouble): string =>
  trouble.code === 'chain_silent'
    ? `the chain has not answered for ${trouble.silent_seconds} s, at most ${trouble.limit_seconds} are borne`
    : `the channels have heard of block ${trouble.height}, the chain is at ${trouble.tip}, at most ${trouble.limit_blocks} blocks behind is borne`;
