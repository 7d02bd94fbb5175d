/** BOLT 5 in any order of events: blocks, preimages, reorganisations, sleep and restarts; in the end each sat of the commitment has one owner, and all streams know. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { hashOf, type Peer } from '../../support/channel-pair.ts';
import { booksOf, claimsOf, Stage, walletScript } from '../../support/onchain-stage.ts';

const RUNS = Number(process.env['ONCHAIN_RUNS'] ?? 12);
const TIMEOUT_MS = 30_000 + RUNS * 5_000;

type Act =
  | { readonly do: 'mine'; readonly blocks: number }
  /** The n-th of a side's incoming HTLCs. */
  | { readonly do: 'fulfill'; readonly by: 'alice' | 'bob'; readonly n: number }
  | { readonly do: 'reorganise'; readonly depth: number }
  | { readonly do: 'restart'; readonly who: 'alice' | 'bob' }
  | { readonly do: 'feerates'; readonly urgent: number };

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('mine' as const), blocks: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fulfill' as const), by: fc.constantFrom('alice' as const, 'bob' as const), n: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reorganise' as const), depth: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), who: fc.constantFrom('alice' as const, 'bob' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('feerates' as const), urgent: fc.integer({ min: 253, max: 12_000 }) }) },
);

const story = fc.record({
  format: fc.constantFrom<CommitmentFormat>('anchors_zero_fee_htlc_tx', 'static_remotekey'),
  closer: fc.constantFrom('alice' as const, 'bob' as const),
  /** sat, blocks to live, and whether alice offers it. */
  htlcs: fc.array(fc.record({ amount: fc.integer({ min: 100, max: 40_000 }), blocks: fc.integer({ min: 8, max: 40 }), fromAlice: fc.boolean() }), { maxLength: 6 }),
  acts: fc.array(act, { minLength: 2, maxLength: 14 }),
});

it('whatever happens in whatever order, every sat is somebody\'s, no HTLC is told twice, and the log tells the same', { timeout: TIMEOUT_MS }, async () => {
  await fc.assert(
    fc.asyncProperty(story, async ({ format, closer, htlcs, acts }) => {
      const stage = await Stage.open({ format });
      const { alice, bob } = stage.pair;
      const payments: Record<Peer['name'], number[]> = { alice: [], bob: [] };
      htlcs.forEach(({ amount, blocks, fromAlice }, n) => {
        stage.offer(fromAlice ? alice : bob, { amount: BigInt(amount), blocks, payment: n + 1 });
        payments[fromAlice ? 'bob' : 'alice'].push(n + 1);
      });
      stage.pair[closer].decide({ type: 'ForceClose', reason: 'story' });
      stage.pair.alice.outbox.length = 0;
      stage.pair.bob.outbox.length = 0;
      await stage.act(stage.pair[closer]);
      await stage.mine(1);
      for (const each of acts) await perform(stage, each, payments);
      for (let n = 0; n < 120 && [alice, bob].some(({ state }) => state.phase !== 'closed'); n++) await stage.mine(1);

      for (const peer of [alice, bob]) {
        expect(peer.state.phase).toBe('closed');
        expect(peer.replayed()).toEqual(peer.state);
        expectToldOnce(peer);
      }
      expectAccounted(stage, alice, bob);
    }),
    { numRuns: RUNS },
  );
});

async function perform(stage: Stage, doing: Act, payments: Readonly<Record<Peer['name'], readonly number[]>>): Promise<void> {
  switch (doing.do) {
    case 'mine':
      return stage.mine(doing.blocks);
    case 'fulfill': {
      const payment = payments[doing.by][doing.n];
      if (payment === undefined) return;
      stage.pair[doing.by].fulfill(BigInt(doing.n), payment);
      return stage.act(stage.pair[doing.by]);
    }
    case 'reorganise':
      stage.reorg(doing.depth);
      for (const peer of stage.pair.peers) await stage.act(peer);
      return stage.mine(1);
    case 'restart':
      return stage.pair[doing.who].restart();
    case 'feerates':
      stage.feerates = { urgent: doing.urgent, normal: Math.ceil(doing.urgent / 2) + 253, economic: 253 };
  }
}

function expectToldOnce(peer: Peer): void {
  const told = [...peer.has('OutgoingHtlcFailed'), ...peer.has('OutgoingHtlcFulfilled')].map(({ htlc_id }) => htlc_id);
  expect(told.toSorted()).toEqual([...new Set(told)].toSorted());
  for (const { payment_hash, payment_preimage } of peer.has('OutgoingHtlcFulfilled')) expect(hashOf(payment_preimage)).toBe(payment_hash);
  const offered = peer.established.commitments.htlcs.filter(({ direction }) => direction === 'offered').map(({ id }) => id);
  expect(told.toSorted()).toEqual(offered.toSorted());
  // Nobody is told of a failure whose preimage the chain has shown by then.
  for (const { htlc_id } of peer.has('OutgoingHtlcFailed')) {
    expect(peer.has('PreimageFound').filter((found) => found.htlc_id === htlc_id)).toEqual([]);
  }
  // What was paid downstream is asked for upstream, and what was failed upstream came back.
  const outputs = peer.state.phase === 'closed' ? peer.state.onchain!.outputs.filter(({ kind, htlc }) => kind === 'htlc' && htlc!.direction === 'offered') : [];
  for (const { htlc, spent } of outputs) {
    if (spent?.by === 'remote') expect(peer.has('OutgoingHtlcFulfilled').map(({ htlc_id }) => htlc_id)).toContain(htlc!.htlc_id);
    if (peer.has('OutgoingHtlcFailed').some(({ htlc_id }) => htlc_id === htlc!.htlc_id)) expect(spent?.by ?? 'nobody').not.toBe('remote');
  }
}

/** Wallets, fees, anchors and what was not worth its fee: together the funding. */
function expectAccounted(stage: Stage, alice: Peer, bob: Peer): void {
  const books = booksOf(stage.chain, stage.height);
  const { txid } = alice.has('FundingSpent').at(-1)!;
  const commitment = books.get(txid)!;
  const spentBy = new Map<string, string>();
  for (const [spender, { tx }] of books) for (const input of tx.inputs) spentBy.set(`${input.txid}:${input.index}`, spender);
  const ours = new Set([alice, bob].flatMap((peer) => claimsOf(peer).map(({ claim_txid }): string => claim_txid)));
  const left = commitment.tx.outputs.filter((_, index) => !spentBy.has(`${txid}:${index}`));
  // Only an anchor, or what does not pay for its own input, stays behind.
  for (const { value } of left) expect(value).toBeLessThan(1_000n);
  for (const [index] of commitment.tx.outputs.entries()) {
    const spender = spentBy.get(`${txid}:${index}`);
    if (spender !== undefined) expect(ours.has(spender)).toBe(true);
  }
  // Nothing of it went to a script that is neither wallet's.
  const known = [walletScript('alice'), walletScript('bob')];
  for (const claim of [alice, bob].flatMap(claimsOf)) {
    const { tx } = books.get(claim.claim_txid) ?? { tx: { outputs: [] } };
    const own = [...known, claim.wallet?.change?.script_pubkey];
    if (claim.kind === 'sweep' || claim.kind === 'htlc_claim') for (const { script_pubkey } of tx.outputs) expect(own).toContain(script_pubkey);
  }
}
