/** What planned claims need before they can be started: a script of the wallet's to go to, or coins of it for the fee. */
import { feeOf } from '../../bolt/03-transactions/fees.ts';
import { type Hex, sat } from '../../bolt/primitives.ts';
import { describeRefusal } from '../../domain/decider.ts';
import { WALLET_WEIGHT } from '../../domain/onchain/claims.ts';
import type { FundedClaim, PlannedClaim } from '../../domain/onchain/types.ts';
import type { StreamId } from '../../events/store.ts';
import { type Wallet, WalletRefusal } from '../wallet.ts';

export interface FundingWorld {
  readonly stream: StreamId;
  readonly wallet: Pick<Wallet, 'contribute' | 'scriptFor'>;
  readonly log: (line: string) => void;
}

const PREFIX = 'claim ';

/** The same for the same outputs, so that a crash or a dearer claim finds script and coins again. Said in the log. */
export function claimPurpose(stream: StreamId, { inputs }: Pick<PlannedClaim, 'inputs'>): string {
  const [{ txid, output_index }] = inputs as [PlannedClaim['inputs'][number]];
  return `${PREFIX}${stream} ${txid}:${output_index}${inputs.length === 1 ? '' : ` and ${inputs.length - 1} more`}`;
}

/** The channel that a purpose of the wallet belongs to; undefined for those of others. */
export const channelOfPurpose = (purpose: string): StreamId | undefined => (purpose.startsWith(PREFIX) ? purpose.slice(PREFIX.length).split(' ')[0] : undefined);

/** Claims that the wallet cannot pay for now are left out, and said: they are planned again with the next block. */
export async function fundClaims(planned: readonly PlannedClaim[], world: FundingWorld): Promise<readonly FundedClaim[]> {
  const funded: FundedClaim[] = [];
  for (const claim of planned) {
    const ready = await fundClaim(claim, world).catch((error: unknown) => {
      if (!(error instanceof WalletRefusal)) throw error;
      world.log(`${world.stream}: the ${claim.kind} of ${claim.inputs.length} outputs waits for coins: ${describeRefusal(error.refusal)}`);
    });
    if (ready !== undefined) funded.push(ready);
  }
  return funded;
}

/**
 * Makes a coin for each of these claims where there are too few: none should hold up another. Answers the raw transaction that
 * is to be broadcast before theirs, if there is one.
 */
export async function provideCoins(beginning: readonly PlannedClaim[], wallet: Pick<Wallet, 'provideCoins'>): Promise<Hex | undefined> {
  if (beginning.length < 2) return undefined;
  const feerate_per_kw = Math.max(...beginning.map((claim) => claim.feerate_per_kw));
  const weight = Math.max(...beginning.map(({ base }) => base!.weight)) + WALLET_WEIGHT;
  const each_sat = sat(feeOf(feerate_per_kw, weight) * ROOM_TO_RISE);
  return wallet.provideCoins({ count: beginning.length, each_sat, feerate_per_kw }).catch((error: unknown) => {
    // What is there goes as far as it goes.
    if (error instanceof WalletRefusal) return undefined;
    throw error;
  });
}

/** How often a fee may be raised by itself before a second coin is needed. */
const ROOM_TO_RISE = 3n;

async function fundClaim({ kind, inputs, feerate_per_kw, replaces, needs, base }: PlannedClaim, { stream, wallet }: FundingWorld): Promise<FundedClaim> {
  const claim = { kind, inputs, feerate_per_kw, replaces };
  const purpose = claimPurpose(stream, claim);
  switch (needs) {
    case 'nothing':
      return claim;
    case 'destination_script':
      return { ...claim, destination_script: await wallet.scriptFor(purpose) };
    case 'wallet': {
      const share = await wallet.contribute({ purpose, ...base!, feerate_per_kw });
      return { ...claim, feerate_per_kw: Math.max(feerate_per_kw, share.feerate_per_kw), wallet: { inputs: [...share.inputs], change: share.change } };
    }
  }
}
