/** Two whole nodes and all their money: what both wallets hold and what the fee ledgers name is what was there at first, to the sat. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createRegtestChain } from '../../src/adapters/chain/regtest.ts';
import { CHANNEL_TYPES } from '../../src/bolt/09-features/features.ts';
import { msat, sat } from '../../src/bolt/primitives.ts';
import type { RunningNode } from '../../src/main.ts';
import { balanceSheet } from '../../src/projections/balances.ts';
import { feeLedger } from '../../src/projections/fee-ledger.ts';
import { foldUntil } from '../../src/projections/projection.ts';
import { fundWallet, openChannelBetween, payMany, startPair, until } from '../support/node-pair.ts';

const COINS = sat(50_000_000n);

it.each([
  ['by agreement', 'anchors_zero_fee_htlc_tx', false],
  ['by force', 'anchors_zero_fee_htlc_tx', true],
  ['by force', 'static_remotekey', true],
] as const)('a channel closed %s, %s', async (_how, channel_type, force) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fulgurite-books-'));
  const chain = createRegtestChain();
  const { alice, bob } = await startPair(chain, dataDir, { policy: { to_self_delay: 10 } });
  try {
    await fundWallet(chain, bob, COINS);
    const stream = await openChannelBetween(chain, alice, bob, { funding_satoshis: sat(100_000_000n), push_msat: msat(1_000_999n), channel_type: CHANNEL_TYPES[channel_type] });
    await payMany(alice, bob, 5, 1, msat(1_234_567n));
    await alice.closeChannel(stream, { force });
    const isOver = (node: RunningNode) => node.channels().every(({ state }) => state.phase === 'closed');
    await until('both have closed', async () => {
      if (isOver(alice) && isOver(bob)) return true;
      await Promise.all([alice.settled(), bob.settled()]);
      if (!force && chain.mempool().length === 0 && alice.channels().some(({ state }) => state.phase === 'normal' || state.phase === 'shutdown')) return false;
      chain.mineBlocks(1);
      await chain.settled();
      return false;
    });
    chain.mineBlocks(1);
    await chain.settled();

    let [held, paid, anchors] = [0n, 0n, 0n];
    for (const node of [alice, bob]) {
      const [{ rows: sheet }, { rows: ledger }] = [await foldUntil(balanceSheet, node.store.readAll()), await foldUntil(feeLedger, node.store.readAll())];
      held += sheet.totals.wallet_sat;
      paid += ledger.totals.local_sat;
      expect(ledger.totals).toMatchObject({ unknown_sat: 0n, pending_sat: 0n });
      for (const { inputs_sat, outputs_sat, fee_sat, parts } of ledger.rows) {
        expect(inputs_sat - outputs_sat).toBe(fee_sat);
        expect(parts.reduce((sum, { amount_sat }) => sum + amount_sat, 0n)).toBe(fee_sat);
      }
      if (node === bob) continue;
      // Of the close both ledgers tell; parts of a sat and anchors are counted once.
      paid += ledger.totals.rounding_sat;
      anchors = ledger.rows.reduce((sum, { anchors_sat }) => sum + anchors_sat, 0n);
      expect(ledger.rows.map(({ kind }) => kind).slice(0, 2)).toEqual(['funding', force ? 'commitment' : 'mutual_close']);
    }
    expect(held + paid + anchors).toBe(300_000_000n + COINS);
  } finally {
    await Promise.all([alice.stop(), bob.stop()]);
    await chain.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}, 60_000);
