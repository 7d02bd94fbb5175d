/** Old commitments of the peer, told again by our log: each the very transaction that the peer once held. */
import { beforeAll, describe, expect, it } from 'vitest';
import { openMemoryStore } from '../../../src/adapters/store/memory.ts';
import { buildCommitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { hex32, msat, type Hex32 } from '../../../src/bolt/primitives.ts';
import { revokedSpec } from '../../../src/commands/onchain/revoked-spec.ts';
import { commitmentParams, commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
import { opened, type Pair } from '../../support/channel-pair.ts';

beforeAll(() => chooseCryptoBackend());

/** Txids of alice's commitments as alice held them, by number. */
function recordCommitments({ alice }: Pair): ReadonlyMap<bigint, Hex32> {
  const held = new Map<bigint, Hex32>();
  alice.listeners.push((peer, event) => {
    if (event.type !== 'CommitmentSignedReceived') return;
    held.set(event.commitment_number, buildCommitment(commitmentParams(peer.established, 'local'), commitmentSpec(peer.established, 'local')).txid);
  });
  return held;
}

/** Payments both ways that overlap, with a new feerate in between. */
function live(pair: Pair, rounds: number): void {
  for (let n = 1; n <= rounds; n++) {
    const [payer, payee] = n % 2 === 0 ? [pair.alice, pair.bob] : [pair.bob, pair.alice];
    payer.offer({ payment: n, amount_msat: msat(BigInt(1_000_000 + n * 1_001)) });
    if (n % 7 === 0) pair.alice.setFee(1_000 + n);
    pair.settle();
    const before = payee.established.commitments.htlcs.find(({ direction, removal }) => direction === 'received' && removal === undefined);
    if (n % 3 === 0 && before !== undefined) payee.fail(before.id);
    pair.settle();
  }
}

describe('the log of a channel', () => {
  it('tells each of the last hundred commitments of the peer', async () => {
    const pair = opened();
    const held = recordCommitments(pair);
    live(pair, 90);
    const store = await openMemoryStore();
    const cause = { command_id: hex32('c0'.repeat(32)), correlation_id: hex32('c1'.repeat(32)) };
    await store.append('channel-x-0', 'none', pair.bob.events, cause);
    const numbers = [...held.keys()].slice(-100);
    expect(numbers.length).toBe(100);
    for (const number of numbers) {
      const spec = await revokedSpec(store, 'channel-x-0', number);
      expect(buildCommitment(commitmentParams(pair.bob.established, 'remote'), spec!).txid, `commitment ${number}`).toBe(held.get(number));
    }
    expect(await revokedSpec(store, 'channel-x-0', numbers.at(-1)! + 5n)).toBeUndefined();
  });
});
