/** The wallet's rules: given events, when a command, then events or a refusal; and the state they fold to. */
import { describe, expect, it } from 'vitest';
import { serialize, txidOf, type UnsignedTx } from '../../src/bolt/03-transactions/tx.ts';
import { type Hex, type Hex32, hex32, sat } from '../../src/bolt/primitives.ts';
import { evolveAll } from '../../src/domain/decider.ts';
import { decide, type ReceiveBlock, type WalletCommand, walletDecider } from '../../src/domain/wallet/decide.ts';
import { balanceOf, spendableCoins } from '../../src/domain/wallet/state.ts';
import type { WalletEvent } from '../../src/events/wallet.ts';

const txid = (n: number): Hex32 => hex32(n.toString(16).padStart(64, '0'));
const hash = (n: number): Hex32 => hex32((0xb10c0000 + n).toString(16).padStart(64, '0'));
const script = (branch: 'receive' | 'change', index: number): Hex => `0014${branch === 'receive' ? 'aa' : 'cc'}${index.toString(16).padStart(38, '0')}`;

const issued = (branch: 'receive' | 'change', index: number, purpose = 'test'): WalletEvent =>
  ({ type: 'AddressIssued', branch, index, script_pubkey: script(branch, index), purpose });
const coin = (n: number, value: number, extra: { readonly coinbase?: boolean } = {}) =>
  ({ txid: txid(n), output_index: 0, value: sat(value), script_pubkey: script('receive', 0), branch: 'receive' as const, index: 0, coinbase: false, ...extra });
const received = (n: number, value: number, block_height: number, extra = {}): WalletEvent => ({ type: 'CoinReceived', ...coin(n, value, extra), block_height });
const scanned = (block_height: number): WalletEvent => ({ type: 'BlockScanned', block_height, block_hash: hash(block_height) });
const block = (block_height: number, facts: Partial<ReceiveBlock> = {}): ReceiveBlock =>
  ({ type: 'ReceiveBlock', block_height, block_hash: hash(block_height), received: [], spent: [], ...facts });
const spent = (n: number, spending_txid: Hex32, block_height: number): WalletEvent => ({ type: 'CoinSpent', txid: txid(n), output_index: 0, spending_txid, block_height });

const stateOf = (...events: readonly WalletEvent[]) => evolveAll(walletDecider, walletDecider.initial, events);
const given = (...events: readonly WalletEvent[]) => {
  const state = stateOf(...events);
  return {
    when: (command: WalletCommand) => {
      const decision = decide(command, state);
      return {
        yields: (...expected: readonly WalletEvent[]) => expect(decision).toEqual({ accepted: expected }),
        refused: (code: string, detail: object) => expect(decision).toMatchObject({ refused: { code, detail } }),
      };
    },
  };
};

/** A transaction of ours that spends coin `n` and pays 60,000 sat away and 39,000 back. */
function payment(n: number): UnsignedTx {
  return {
    version: 2, locktime: 0, inputs: [{ txid: txid(n), index: 0, sequence: 0xfffffffd }],
    outputs: [{ value: sat(60_000), script_pubkey: `0014${'ee'.repeat(20)}` }, { value: sat(39_000), script_pubkey: script('change', 0) }],
  };
}
const created = (n: number): Extract<WalletEvent, { type: 'TransactionCreated' }> =>
  ({ type: 'TransactionCreated', txid: txidOf(payment(n)), purpose: 'funding', transaction: serialize(payment(n)), fee_satoshis: sat(1000), inputs: [{ txid: txid(n), output_index: 0 }] });
const create = (n: number, height = 200): WalletCommand => {
  const { type: _, ...facts } = created(n);
  return { ...facts, type: 'CreateTransaction', change: { branch: 'change', index: 0, script_pubkey: script('change', 0), purpose: 'change' }, height };
};
const funded = [issued('receive', 0), scanned(150), received(1, 100_000, 150)] as const;
const paid = [...funded, issued('change', 0, 'change'), created(1)] as const;

describe('addresses', () => {
  const ask = (index: number): WalletCommand => ({ type: 'IssueAddress', branch: 'receive', index, script_pubkey: script('receive', index), purpose: 'test' });
  it('are issued one after the other', () => given(issued('receive', 0)).when(ask(1)).yields(issued('receive', 1)));
  it('are issued once', () => given(issued('receive', 0)).when(ask(0)).refused('address_index_taken', { expected: 1, index: 0 }));
  it('leave no gap', () => given().when(ask(5)).refused('address_index_taken', { expected: 0, index: 5 }));
  it('of the two branches do not disturb each other', () => given(issued('change', 0), issued('change', 1)).when(ask(0)).yields(issued('receive', 0)));
});

describe('a block', () => {
  it('with nothing of ours is no event', () => given(...funded).when(block(151)).yields());
  it('in a hundred is noted all the same', () => given(...funded).when(block(200)).yields(scanned(200)));
  it('brings coins', () => given(issued('receive', 0)).when(block(150, { received: [coin(1, 100_000)] })).yields(scanned(150), received(1, 100_000, 150)));
  it('seen twice changes nothing', () => given(...funded).when(block(150, { received: [coin(1, 100_000)] })).yields());
  it('takes coins', () => given(...funded).when(block(151, { spent: [{ txid: txid(1), output_index: 0, spending_txid: txid(9) }] })).yields(scanned(151), spent(1, txid(9), 151)));
  it('may bring a coin and take it', () =>
    given(issued('receive', 0)).when(block(150, { received: [coin(1, 5000)], spent: [{ txid: txid(1), output_index: 0, spending_txid: txid(9) }] }))
      .yields(scanned(150), received(1, 5000, 150), spent(1, txid(9), 150)));
  it("does not make a stranger's spend an event", () => given(...funded).when(block(151, { spent: [{ txid: txid(77), output_index: 0, spending_txid: txid(9) }] })).yields());
  it('that stands where another stood rolls that one back first', () =>
    given(...funded).when({ ...block(150), block_hash: hash(666) })
      .yields({ type: 'WalletRolledBack', to_height: 149 }));
  it('confirms the change of a transaction of ours', () => {
    const change = { txid: txidOf(payment(1)), output_index: 1, value: sat(39_000), script_pubkey: script('change', 0), branch: 'change' as const, index: 0, coinbase: false };
    given(...paid).when(block(151, { received: [change], spent: [{ txid: txid(1), output_index: 0, spending_txid: txidOf(payment(1)) }] }))
      .yields(scanned(151), { type: 'CoinReceived', ...change, block_height: 151 }, spent(1, txidOf(payment(1)), 151));
  });
  it('shows addresses of an older life of the seed, which are not issued again', () => {
    const old = { ...coin(3, 7000), index: 12, script_pubkey: script('receive', 12) };
    const found = issued('receive', 12, 'found on chain');
    given(...funded).when(block(151, { received: [old] })).yields(scanned(151), found, { type: 'CoinReceived', ...old, block_height: 151 });
    expect(stateOf(...funded, found).next).toEqual({ receive: 13, change: 0 });
  });
  it('that spends our coin otherwise ends the transaction that wanted it, and its children', () => {
    const child: WalletEvent = { ...created(2), txid: txid(50), inputs: [{ txid: txidOf(payment(1)), output_index: 1 }] };
    given(...paid, child).when(block(151, { spent: [{ txid: txid(1), output_index: 0, spending_txid: txid(9) }] })).yields(
      scanned(151), spent(1, txid(9), 151),
      { type: 'TransactionAbandoned', txid: txid(50), reason: 'its parent was outrun' },
      { type: 'TransactionAbandoned', txid: txidOf(payment(1)), reason: `${txid(9)} spent its coin first` },
    );
  });
});

describe('a transaction', () => {
  it('is created with its change address', () => given(...funded).when(create(1)).yields(issued('change', 0, 'change'), created(1)));
  it('is created once', () => given(...paid).when(create(1)).yields());
  it('cannot spend what is not there', () => given(...funded).when(create(2)).refused('coin_unavailable', { why: 'unknown' }));
  it('cannot spend what is spent', () => given(...funded, spent(1, txid(9), 151)).when(create(1)).refused('coin_unavailable', { why: `spent by ${txid(9)}` }));
  it('cannot spend what another keeps', () => {
    const other = { ...created(1), txid: txid(40) };
    given(...funded, other).when(create(1)).refused('coin_unavailable', { why: 'reserved' });
  });
  it('cannot spend a coinbase before its hundredth block', () => {
    const mined = [issued('receive', 0), received(1, 100_000, 101, { coinbase: true })] as const;
    given(...mined).when(create(1, 199)).refused('coin_unavailable', { why: 'immature until block 201' });
    given(...mined).when(create(1, 200)).yields(issued('change', 0, 'change'), created(1));
  });
  it('that was never sent gives its coins back', () => {
    const abandoned: WalletEvent = { type: 'TransactionAbandoned', txid: txidOf(payment(1)), reason: 'the peer went away' };
    given(...paid).when({ type: 'AbandonTransaction', txid: txidOf(payment(1)), reason: 'the peer went away' }).yields(abandoned);
    expect(balanceOf(stateOf(...paid, abandoned), 200)).toMatchObject({ confirmed_sat: 100_000n, pending_sat: 0n, reserved_sat: 0n });
  });
  it('in a block cannot be abandoned', () =>
    given(...paid, spent(1, txidOf(payment(1)), 151)).when({ type: 'AbandonTransaction', txid: txidOf(payment(1)), reason: '' }).refused('transaction_confirmed', {}));
  it('that nobody knows cannot be abandoned', () => given().when({ type: 'AbandonTransaction', txid: txid(1), reason: '' }).refused('unknown_transaction', { txid: txid(1) }));
  it('without coins for it is refused with the figures', () =>
    given().when({ type: 'RefuseTransaction', code: 'insufficient_funds', detail: { amount_sat: 5n } }).refused('insufficient_funds', { amount_sat: 5n }));
});

describe('the balance', () => {
  it('counts a coin once: confirmed, then reserved with its change pending, then the change confirmed', () => {
    expect(balanceOf(stateOf(...funded), 200)).toEqual({ confirmed_sat: 100_000n, pending_sat: 0n, reserved_sat: 0n, immature_sat: 0n, total_sat: 100_000n });
    expect(balanceOf(stateOf(...paid), 200)).toEqual({ confirmed_sat: 0n, pending_sat: 39_000n, reserved_sat: 100_000n, immature_sat: 0n, total_sat: 39_000n });
    const change: WalletEvent = { type: 'CoinReceived', txid: txidOf(payment(1)), output_index: 1, value: sat(39_000), script_pubkey: script('change', 0), branch: 'change', index: 0, coinbase: false, block_height: 151 };
    expect(balanceOf(stateOf(...paid, change, spent(1, txidOf(payment(1)), 151)), 200)).toMatchObject({ confirmed_sat: 39_000n, pending_sat: 0n, reserved_sat: 0n });
  });
  it('keeps young coinbases apart', () => {
    const mined = stateOf(issued('receive', 0), received(1, 5000, 101, { coinbase: true }));
    expect(balanceOf(mined, 199)).toMatchObject({ immature_sat: 5000n, confirmed_sat: 0n });
    expect(balanceOf(mined, 200)).toMatchObject({ immature_sat: 0n, confirmed_sat: 5000n });
  });
  it('lets pending change be spent, after what is confirmed', () => {
    const { confirmed, pending } = spendableCoins(stateOf(...paid, received(2, 7000, 151)), 200);
    expect([confirmed, pending].map((coins) => coins.map(({ value }) => value))).toEqual([[7000n], [39_000n]]);
  });
});

describe('a reorganisation', () => {
  it('of blocks that held nothing of ours is no event', () => given(...funded).when({ type: 'RollBack', to_height: 150 }).yields());
  it('takes coins away', () => {
    given(...funded).when({ type: 'RollBack', to_height: 149 }).yields({ type: 'WalletRolledBack', to_height: 149 });
    const state = stateOf(...funded, { type: 'WalletRolledBack', to_height: 149 });
    expect([state.coins.size, state.scanned.length, state.next.receive]).toEqual([0, 0, 1]);
  });
  it('undoes spends, and what a transaction of ours makes waits again', () => {
    const change: WalletEvent = { type: 'CoinReceived', txid: txidOf(payment(1)), output_index: 1, value: sat(39_000), script_pubkey: script('change', 0), branch: 'change', index: 0, coinbase: false, block_height: 151 };
    const state = stateOf(...paid, change, spent(1, txidOf(payment(1)), 151), { type: 'WalletRolledBack', to_height: 150 });
    expect(balanceOf(state, 150)).toMatchObject({ confirmed_sat: 0n, pending_sat: 39_000n, reserved_sat: 100_000n });
  });
});

describe('memory', () => {
  it('forgets what was spent a thousand blocks ago, and keeps what was not', () => {
    const late = stateOf(...paid, spent(1, txidOf(payment(1)), 151), received(2, 7000, 151), scanned(1200));
    expect([...late.coins.values()].map(({ value }) => value)).toEqual([39_000n, 7000n]);
    expect([late.transactions.size, late.scanned.length]).toEqual([0, 1]);
    const unspent = stateOf(...paid, scanned(1200));
    expect([unspent.coins.size, unspent.transactions.size]).toEqual([2, 1]);
  });
});
