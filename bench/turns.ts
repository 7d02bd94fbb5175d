/** Commitment turns without disk or network: what the rules, the transactions and the cryptography alone allow. */
import { msat, sat } from '../src/bolt/primitives.ts';
import { isEstablished } from '../src/domain/channel/state.ts';
import { hashOf, opened, preimageOf, type Pair, type Peer } from '../test/support/channel-pair.ts';
import { timeSync, type Bench, type Row } from './bench.ts';

export const turnsBench: Bench = {
  name: 'turns',
  about: 'One turn: a batch of HTLCs is offered, committed on both sides (commitment_signed and revoke_and_ack each way), fulfilled and removed; both peers in one thread, every signature made and checked.',
  async run() {
    return [1, 10, 30].flatMap((batch): Row[] => {
      const pair = opened({ funding_satoshis: sat(10_000_000n), push_msat: msat(5_000_000_000n) });
      const commitments = () => Number(isEstablished(pair.alice.state) ? pair.alice.state.commitments.local.number + pair.alice.state.commitments.remote.number : 0n);
      const before = commitments();
      let rounds = 0;
      const { perSecond, p50 } = timeSync(() => {
        round(pair, rounds % 2 === 0 ? pair.alice : pair.bob, batch);
        rounds += 1;
      });
      const perRound = (commitments() - before) / rounds;
      return [
        { what: `${batch} HTLCs a batch, commitments signed and checked`, value: perSecond * perRound, unit: '/s' },
        { what: `${batch} HTLCs a batch, HTLCs`, value: perSecond * batch, unit: '/s' },
        { what: `${batch} HTLCs a batch, whole round`, value: p50, unit: 'ms' },
      ];
    });
  },
};

const paymentOf = new Map(Array.from({ length: 30 }, (_, payment) => [hashOf(preimageOf(payment)), payment]));

/** Offers a batch and sees it through to its end; payer and payee take turns, so that the balances last. */
function round(pair: Pair, payer: Peer, batch: number): void {
  const payee = pair.other(payer);
  for (let payment = 0; payment < batch; payment += 1) payer.offer({ amount_msat: msat(1_000_000n), payment });
  pair.settle();
  const { state } = payee;
  if (!isEstablished(state) || state.commitments.htlcs.length !== batch) throw new Error(`expected ${batch} HTLCs, got ${isEstablished(state) ? state.commitments.htlcs.length : state.phase}`);
  for (const htlc of state.commitments.htlcs) payee.fulfill(htlc.id, paymentOf.get(htlc.payment_hash));
  pair.settle();
}
