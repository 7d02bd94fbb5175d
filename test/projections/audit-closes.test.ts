/** `fulgurite audit` explains each close: who, why, which transactions, which fees, and that the outputs equal the last state; what a forger changes of it is found. */
import { describe, expect, it } from 'vitest';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { sat, type Sat } from '../../src/bolt/primitives.ts';
import { describeCloses } from '../../src/cli/audit-closes.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import type { CloseReport } from '../../src/projections/audit.ts';
import type { Peer } from '../support/channel-pair.ts';
import { booksOf, Stage } from '../support/onchain-stage.ts';
import { auditPeer, type Forgery } from '../support/peer-log.ts';

type EventOf<T extends ChannelEvent['type']> = Extract<ChannelEvent, { type: T }>;

async function busy(): Promise<Stage> {
  const stage = await Stage.open();
  const { alice, bob } = stage.pair;
  stage.offer(alice, { amount: 21_000n, payment: 1 });
  stage.offer(bob, { amount: 24_000n, payment: 2 });
  return stage;
}

async function untilOver(stage: Stage, ...peers: Peer[]): Promise<void> {
  for (let blocks = 0; blocks < 150 && peers.some(({ state }) => state.phase !== 'closed'); blocks++) await stage.mine(1);
}

function closeOf(peer: Peer): CloseReport {
  const { failure, close } = auditPeer(peer);
  expect(failure).toBeUndefined();
  return close!;
}

const plain = (_: string, text: string): string => text;

/** Alice closes by force with an HTLC each way; bob's preimage takes hers, his runs out. */
async function forced(): Promise<Stage> {
  const stage = await busy();
  const { alice, bob } = stage.pair;
  alice.decide({ type: 'ForceClose', reason: 'the peer is slow' });
  await stage.act(alice);
  await stage.mine(1);
  bob.fulfill(0n, 1);
  await untilOver(stage, alice, bob);
  return stage;
}

describe('a close', () => {
  it('by agreement names who asked first, the transaction and its fee', async () => {
    const stage = await Stage.open();
    const { alice, bob } = stage.pair;
    alice.close();
    stage.pair.settle();
    bob.close();
    stage.pair.settle();
    await stage.act(alice);
    await stage.mine(1);
    await untilOver(stage, alice, bob);
    const [ours, theirs] = [closeOf(alice), closeOf(bob)];
    const [{ fee_satoshis }] = alice.has('ClosingAgreed') as [EventOf<'ClosingAgreed'>];
    expect(ours).toMatchObject({ by: 'user', cause: { type: 'ShutdownSent', code: 'shutdown' }, kind: 'mutual', resolved: true, outputs_equal_state: 'yes', fees: { local_sat: fee_satoshis, remote_sat: 0n, unknown_sat: 0n } });
    expect(theirs).toMatchObject({ by: 'remote', cause: { type: 'ShutdownReceived' }, kind: 'mutual', outputs_equal_state: 'yes', fees: { local_sat: 0n, remote_sat: fee_satoshis } });
    expect(ours.transactions.map(({ kind, txid }) => [kind, txid])).toEqual([['mutual_close', ours.txid]]);
  });

  it('by force has the failure as its cause, for the other side the transaction itself', async () => {
    const stage = await forced();
    const { alice, bob } = stage.pair;
    const [ours, theirs] = [closeOf(alice), closeOf(bob)];
    const at = alice.events.findIndex(({ type }) => type === 'ChannelFailed');
    expect(ours).toMatchObject({ by: 'user', cause: { type: 'ChannelFailed', position: BigInt(at), revision: BigInt(at), code: 'force_closed_by_user', reason: 'the peer is slow' }, kind: 'local', resolved: true, outputs_equal_state: 'yes' });
    expect(theirs).toMatchObject({ by: 'remote', cause: { type: 'FundingSpent', code: 'remote_on_chain' }, kind: 'remote', outputs_equal_state: 'yes' });
    expect(theirs.txid).toBe(ours.txid);
    const books = booksOf(stage.chain, stage.height);
    for (const { txid, status, fee_sat } of [...ours.transactions, ...theirs.transactions]) if (status === 'confirmed') expect(fee_sat).toBe(books.get(txid)!.fee);
    expect(ours.outputs.map(({ value_sat }) => value_sat)).toEqual(books.get(ours.txid!)!.tx.outputs.map(({ value }) => value));
    expect(ours.outputs.filter(({ kind }) => kind === 'htlc').map(({ htlc, spent }) => [htlc!.direction, spent!.by]).toSorted()).toEqual([['offered', 'remote'], ['received', 'remote']]);
  });

  it('by a revoked commitment says so, and names the penalty', async () => {
    const stage = await busy();
    const { alice, bob } = stage.pair;
    const thief = stage.commitmentOf(bob);
    stage.offer(bob, { amount: 40_000n, payment: 8 });
    await stage.publish(thief.raw, 'bob');
    stage.awake = ['alice'];
    await stage.mine(1);
    await untilOver(stage, alice);
    const close = closeOf(alice);
    expect(close).toMatchObject({ by: 'remote', cause: { type: 'FundingSpent', code: 'revoked_on_chain' }, kind: 'revoked', resolved: true, outputs_equal_state: 'yes' });
    expect(close.transactions.filter(({ status }) => status === 'confirmed').map(({ kind }) => kind)).toContain('penalty');
  });

  it('that has only begun is told as far as it is', async () => {
    const { alice } = (await busy()).pair;
    alice.decide({ type: 'ForceClose', reason: 'test' });
    expect(closeOf(alice)).toMatchObject({ by: 'user', kind: undefined, resolved: false, transactions: [], outputs_equal_state: 'unknown' });
  });

  it('has no report while the channel lives', async () => expect(auditPeer((await busy()).pair.alice)).toEqual({ close: undefined }));

  it('is told in words', async () => {
    const { alice } = (await forced()).pair;
    const lines = describeCloses({ closes: [closeOf(alice)] }, plain);
    const text = lines.join('\n');
    expect(lines[1]).toMatch(/^ {4}by the user: force_closed_by_user: the peer is slow \(ChannelFailed, position \d+, revision \d+\)$/);
    expect(text).toMatch(/local 4 [0-9a-f]{64} in block \d+; resolved|local \d+ [0-9a-f]{64} in block \d+; resolved/);
    expect(text).toContain('outputs equal the last state: yes');
    expect(text).toMatch(/commitment +[0-9a-f]{64} +\d+ +1,000,000 +[\d,]+ +[\d,]+ +[\d,]+ us/);
    expect(text).toMatch(/spent by us: [0-9a-f]{64} in block \d+/);
  });
});

/** Changes every event of a type. */
const forge = <T extends ChannelEvent['type']>(type: T, change: (event: EventOf<T>) => ChannelEvent | undefined): Forgery => (event) => (event.type === type ? change(event as EventOf<T>) : event);

const more = (value: Sat): Sat => sat(value + 1n);

describe('a forger', () => {
  const cases: readonly (readonly [string, string, Forgery])[] = [
    ['an output of the commitment worth a sat more', 'output_value', forge('CommitmentOutputsFound', (event) => ({ ...event, outputs: event.outputs.map((output) => ({ ...output, value: more(output.value) })) }))],
    ['an HTLC under another hash', 'output_kind', forge('CommitmentOutputsFound', (event) => ({ ...event, outputs: event.outputs.map((output) => (output.htlc === undefined ? output : { ...output, htlc: { ...output.htlc, payment_hash: '11'.repeat(32) as never } })) }))],
    ['a claim that paid another fee', 'claim_fee', forge('ClaimStarted', (event) => ({ ...event, fee_satoshis: more(event.fee_satoshis) }))],
    ['a claim that went elsewhere', 'claim_txid', forge('ClaimStarted', (event) => (event.destination_script === undefined ? event : { ...event, destination_script: `0014${'66'.repeat(20)}` }))],
    ['a claim of ours that was the peer\'s', 'spent_by', forge('OutputSpent', (event) => ({ ...event, by: event.by === 'local' ? 'remote' : 'local' }))],
    ['a spend of what was never there', 'unknown_output', forge('OutputSpent', (event) => ({ ...event, output_index: 77 }))],
    ['a preimage that opens nothing', 'wrong_preimage', forge('PreimageFound', (event) => ({ ...event, payment_preimage: '22'.repeat(32) as never }))],
    ['a close of another kind', 'spend_kind', forge('FundingSpent', (event) => ({ ...event, kind: 'remote' }))],
  ];

  it.each(cases)('%s is found: %s', async (_name, code, forgery) => {
    const { alice } = (await forced()).pair;
    const { failure } = auditPeer(alice, forgery);
    expect(failure).toMatchObject({ code, message: expect.stringMatching(/expected .+, got .+/) });
  });

  it('an old commitment in the place of the newest is found, with and without cryptography', async () => {
    const stage = await busy();
    const { alice } = stage.pair;
    const old = stage.commitmentOf(alice).raw;
    stage.offer(alice, { amount: 30_000n, payment: 5 });
    await stage.publish(stage.commitmentOf(alice).raw);
    await stage.mine(1);
    const forgery: Forgery = (event) => {
      if (event.type === 'CommitmentOutputsFound' || event.type === 'ClaimStarted') return undefined;
      return event.type === 'FundingSpent' ? { ...event, transaction: old, txid: parseTx(old).txid } : event;
    };
    expect(auditPeer(alice, forgery).failure).toMatchObject({ code: 'spend_kind' });
    expect(auditPeer(alice, forgery, false)).toMatchObject({ failure: { code: 'close_differs' }, close: { kind: 'local', outputs_equal_state: 'no' } });
  });
});
