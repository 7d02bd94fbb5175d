/** What a thief does with the log and the seed of a node that is off: it goes back to a commitment with HTLCs both ways, and sends what follows from it, again and again. */
import { join } from 'node:path';
import type { RegtestChain } from '../../../src/adapters/chain/regtest.ts';
import { createSigner } from '../../../src/adapters/signer/local-signer.ts';
import { loadOrCreateSeed } from '../../../src/adapters/signer/seed.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { Hex, Hex32, NodeId } from '../../../src/bolt/primitives.ts';
import { evolveChannel } from '../../../src/domain/channel/evolve.ts';
import { initialChannel, isEstablished, type ChannelState } from '../../../src/domain/channel/state.ts';
import type { ChannelEvent } from '../../../src/events/channel/index.ts';
import type { EventEnvelope } from '../../../src/events/envelope.ts';
import { isChannelStream } from '../../../src/projections/streams.ts';
import { fundKey } from '../../support/coins.ts';
import { keyFor } from '../../support/onchain/coins.ts';
import { oldCommitment, preimagesOf, secondStages } from '../../support/onchain/thief.ts';
import { auditedLog } from '../logs.ts';

export interface ThiefOptions {
  readonly chain: RegtestChain;
  readonly folder: string;
  readonly nodeId: NodeId;
  /** In the commitment that it goes back to. */
  readonly htlcs: number;
}

export class Thief {
  readonly #sent: Hex[] = [];

  /** Sends its revoked commitment. */
  async cheat(options: ThiefOptions): Promise<void> {
    const { old } = await plan(options);
    this.#sent.push(old.transaction);
    await this.insist(options.chain);
  }

  /** Sends HTLC transactions on top of it, at a height. */
  async goOn(options: ThiefOptions, height: number): Promise<void> {
    const { old, log, signer } = await plan(options);
    const coins = Array.from({ length: options.htlcs }, (_, i) => fundKey(options.chain, keyFor(`a coin of the thief ${i}`), 100_000n, { unconfirmed: true }));
    this.#sent.push(...secondStages(signer, old, { preimages: preimagesOf(log, old), height, coins, together: 2 }));
    await this.insist(options.chain);
  }

  /** All of it again, whatever became of it; a penalty may have been faster. */
  async insist(chain: RegtestChain): Promise<void> {
    for (const transaction of this.#sent) await chain.broadcast(transaction);
  }

  sent(txid: Hex32): boolean {
    return this.#sent.some((raw) => parseTx(raw).txid === txid);
  }
}

async function plan({ folder, nodeId, htlcs }: ThiefOptions) {
  const signer = createSigner(loadOrCreateSeed(join(folder, 'seed')).seed, { network: 'bitcoin-regtest' });
  const log = (await auditedLog({ folder, nodeId })).log.filter(({ stream }) => isChannelStream(stream));
  return { signer, log, old: oldCommitment(signer, log, newestFull(log, htlcs)) };
}

const COMMITTED: ReadonlySet<string> = new Set(['SENT_ADD_ACK_REVOCATION', 'RCVD_ADD_ACK_REVOCATION']);

/** The newest of its commitments that had so many HTLCs, all of them beyond recall. Throws when there was none. */
function newestFull(log: readonly EventEnvelope[], htlcs: number): bigint {
  let [state, newest] = [initialChannel as ChannelState, undefined as bigint | undefined];
  for (const { event } of log) {
    state = evolveChannel(state, event as ChannelEvent);
    if (!isEstablished(state)) continue;
    const { commitments } = state;
    if (commitments.htlcs.length === htlcs && commitments.htlcs.every((htlc) => COMMITTED.has(htlc.state))) newest = commitments.local.number;
  }
  if (newest === undefined) throw new Error(`no commitment had ${htlcs} HTLCs`);
  return newest;
}
