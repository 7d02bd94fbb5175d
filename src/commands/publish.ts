/** Transactions that a channel owes the chain: sent now, and again with each block until they are in one. */
import type { Hex } from '../bolt/primitives.ts';
import type { Effect } from '../domain/channel/effects.ts';
import type { BroadcastResult, Chain } from '../domain/ports.ts';

export type Owed = Extract<Effect, { kind: 'broadcast' }>['what'];

/** Closes of one channel conflict: they are tried in their order until the chain takes one. What is refused is told; nothing is thrown. */
export async function publish(what: Owed, transactions: readonly Hex[], chain: Pick<Chain, 'broadcast'>, tell: (sentence: string) => void): Promise<void> {
  if (what === 'closing') return publishFirst(transactions, chain, tell);
  await Promise.all(transactions.map((transaction) => publishFirst([transaction], chain, tell)));
}

async function publishFirst(transactions: readonly Hex[], chain: Pick<Chain, 'broadcast'>, tell: (sentence: string) => void): Promise<void> {
  const refusals: string[] = [];
  for (const transaction of transactions) {
    const result = await send(transaction, chain);
    if (result === undefined) return;
    refusals.push(result);
  }
  if (refusals.length > 0) tell(refusals.join(', the one before it '));
}

/** Why the chain did not take it; undefined when it did. */
async function send(transaction: Hex, chain: Pick<Chain, 'broadcast'>): Promise<string | undefined> {
  return chain.broadcast(transaction).then(describe, (error: Error) => `could not be sent: ${error.message}`);
}

const describe = (result: BroadcastResult): string | undefined => (result.ok ? undefined : `was refused: ${result.code} (${result.reason})`);
