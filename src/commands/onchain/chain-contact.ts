/** Whether the chain can be watched at all: no payment is accepted whose deadline would pass unseen (BOLT 2, "cltv_expiry_delta Selection"). */
import type { BlockHeight } from '../../bolt/primitives.ts';
import { chainTrouble, DEFAULT_CONTACT_LIMITS, describeTrouble, type ChainTrouble, type ContactLimits } from '../../domain/chain-contact.ts';
import type { Chain } from '../../domain/ports.ts';

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
  const borne = { ...DEFAULT_CONTACT_LIMITS, ...limits };
  let heardAt = now();
  let tip = 0;
  let told: string | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;

  const trouble = (): ChainTrouble | undefined => chainTrouble({ silent_seconds: now() - heardAt, height: height(), tip }, borne);

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
