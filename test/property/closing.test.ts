/** BOLT 2, "Channel Close", as a law: at any moment of a busy channel a shutdown by either side, or by both at once, ends in a close that pays the last balances. */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { dustLimitOf } from '../../src/bolt/03-transactions/shutdown-script.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { msatToSat, type Hex, type Sat } from '../../src/bolt/primitives.ts';
import { completeCloses, mutualCloseTxids, payerOf } from '../../src/domain/channel/mutual-closes.ts';
import type { Peer } from '../support/channel-pair.ts';
import { begin, beginning, life, repeatably, Simulation, type Beginning, type Step } from '../support/channel-simulation.ts';
import { runs } from '../support/property.ts';

interface Ending {
  readonly name: Beginning;
  readonly before: readonly Step[];
  readonly by: 'alice' | 'bob' | 'both';
  readonly after: readonly Step[];
  readonly simple_close: boolean;
  /** sat per 1000 weight, as each side sees it. */
  readonly feerates: readonly [number, number];
}

const feerate = fc.integer({ min: 253, max: 5_000 });
const ending: fc.Arbitrary<Ending> = fc.record({
  name: beginning, before: life, by: fc.constantFrom('alice', 'bob', 'both'), after: life, simple_close: fc.boolean(), feerates: fc.tuple(feerate, feerate),
});

function closes({ name, before, by, after, simple_close, feerates }: Ending): readonly Peer[] {
  const pair = begin(name);
  const simulation = new Simulation(pair);
  pair.peers.forEach((peer, n) => {
    peer.closingFeerate = feerates[n]!;
    if (simple_close) peer.features = new Set(['option_shutdown_anysegwit', 'option_simple_close']);
  });
  for (const step of before) simulation.take(step);
  for (const who of by === 'both' ? (['alice', 'bob'] as const) : [by]) simulation.take({ do: 'close', who });
  for (const step of after) simulation.take(step);
  // A restart forgets a wish that no shutdown has told of yet.
  for (const peer of pair.peers) if (peer.state.phase === 'normal') peer.wantsToClose = true;
  simulation.finish();
  return pair.peers;
}

/** What each side must find in a close whose fee `payer` pays: nothing is lost but the fee, parts of a sat, and what nobody would relay. */
function expectedOutputs({ state }: Peer, payer: 'local' | 'remote', fee: Sat): readonly { readonly script_pubkey: Hex; readonly value: bigint }[] {
  if (state.phase !== 'closing') throw new Error(`phase ${state.phase}`);
  const { scripts, commitments: { local_msat, remote_msat }, terms } = state;
  const legacy = state.agreed !== undefined;
  const dust = (script: Hex): bigint => (legacy ? [terms.local.dust_limit_satoshis, terms.remote.dust_limit_satoshis].reduce((a, b) => (a > b ? a : b)) : (dustLimitOf(script) ?? 0n));
  return ([['local', msatToSat(local_msat)], ['remote', msatToSat(remote_msat)]] as const)
    .map(([side, balance]) => ({ script_pubkey: scripts[side], value: balance - (side === payer ? fee : 0n) }))
    .filter(({ script_pubkey, value }) => value >= dust(script_pubkey));
}

const byScript = <T extends { readonly script_pubkey: string }>(outputs: readonly T[]): readonly T[] => outputs.toSorted((a, b) => (a.script_pubkey < b.script_pubkey ? -1 : 1));

describe('closing', () => {
  const proven = { closes: 0, simple: 0, transactions: 0 };
  afterAll(() => console.log(`closing: ${proven.closes} channels closed, ${proven.simple} of them by closing_complete, ${proven.transactions} transactions to the sat`));

  it('a shutdown at any moment, with disconnects and restarts at any place, ends in a close that pays the last balances', () => {
    fc.assert(
      fc.property(ending, (story) => {
        const peers = closes(story);
        for (const peer of peers) {
          const { state } = peer;
          if (state.phase !== 'closing') throw new Error(`phase ${state.phase}`);
          for (const close of completeCloses(state)) {
            const payer = payerOf(state, close.closing_txid)!;
            const fee = state.agreed?.fee_satoshis ?? state.closes.signed.find(({ closing_txid }) => closing_txid === close.closing_txid)!.fee_satoshis;
            expect(byScript(close.closing.tx.outputs)).toEqual(byScript(expectedOutputs(peer, payer, fee)));
            proven.transactions++;
          }
          const published = peer.broadcasts.filter(({ what }) => what === 'closing').map(({ raw }) => parseTx(raw).txid);
          expect(published.length).toBeGreaterThan(0);
          for (const txid of published) expect(mutualCloseTxids(state)).toContain(txid);
          expect(peer.has('ClosingSignedSent').length === 0).toBe(story.simple_close);
        }
        // Whatever one side holds complete, the other one would recognise on chain.
        for (const [one, other] of [[0, 1], [1, 0]] as const) {
          const known = mutualCloseTxids(peers[other]!.established);
          for (const { closing_txid } of completeCloses(peers[one]!.established)) expect(known).toContain(closing_txid);
        }
        proven.closes++;
        if (story.simple_close) proven.simple++;
      }),
      repeatably(runs(150)),
    );
  });
});
