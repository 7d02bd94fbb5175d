/** The one source of feerates: asks the chain with each block, believes what can be believed, and else keeps what it knew and says so. */
import { FEERATE_FLOOR } from '../bolt/03-transactions/fees.ts';
import { judgeEstimate, ordered, TARGET_BLOCKS, type Estimate, type Feerates } from '../domain/feerates.ts';
import type { Chain } from '../domain/ports.ts';

export interface FeeratesOptions {
  readonly chain: Pick<Chain, 'estimateFeerate'>;
  /** The most that is ever believed, sat per 1000 weight units. */
  readonly ceiling_per_kw: number;
  readonly log: (line: string) => void;
}

export interface FeerateSource {
  /** The newest good ones; the floor before the first. */
  readonly current: Feerates;
  /** Why some of them are older than the last look. */
  readonly trouble: string | undefined;
  /** The first look: rejects with the chain's error when it knows nothing at all. */
  start(): Promise<void>;
  /** Looks again. Never rejects: what was good stays. */
  refresh(): Promise<void>;
}

type Target = keyof Feerates;
const TARGETS = Object.keys(TARGET_BLOCKS) as readonly Target[];

/** 1000 sat a virtual byte: nobody has paid more for long. */
export const DEFAULT_CEILING_PER_KW = 250_000;
const AT_LEAST: Feerates = { urgent: FEERATE_FLOOR, normal: FEERATE_FLOOR, economic: FEERATE_FLOOR };

export function createFeerates({ chain, ceiling_per_kw, log }: FeeratesOptions): FeerateSource {
  const estimates = new Map<Target, Estimate>();
  let current: Feerates | undefined;
  let trouble: string | undefined;

  /** Undefined when the answer is good, else what is wrong with it. */
  async function look(target: Target): Promise<string | undefined> {
    try {
      const judged = judgeEstimate(estimates.get(target), await chain.estimateFeerate(TARGET_BLOCKS[target]), ceiling_per_kw);
      if (judged.estimate !== undefined) estimates.set(target, judged.estimate);
      return 'doubt' in judged ? `${judged.doubt.code}: expected ${judged.doubt.expected}, got ${judged.doubt.got}` : undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  async function refresh(): Promise<void> {
    const doubts = await Promise.all(TARGETS.map(async (target) => ({ target, why: await look(target) })));
    current = ordered(Object.fromEntries([...estimates].map(([target, { feerate_per_kw }]) => [target, feerate_per_kw]))) ?? current;
    say(doubts.filter(({ why }) => why !== undefined).map(({ target, why }) => `${target}: ${why}`).join('; ') || undefined);
  }

  /** Once when trouble begins or changes, and once when it is over. */
  function say(why: string | undefined): void {
    if (why === trouble) return;
    trouble = why;
    log(why === undefined ? 'fee estimates are good again' : `fee estimates: the last good ones stay: ${why}`);
  }

  return {
    get current() { return current ?? AT_LEAST; },
    get trouble() { return trouble; },
    async start() {
      await refresh();
      // Without any estimate no channel can be opened or closed in time: the chain's own words say why.
      if (current === undefined) await chain.estimateFeerate(TARGET_BLOCKS.normal);
    },
    refresh,
  };
}
