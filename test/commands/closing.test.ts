/** BOLT 2, "Channel Close", at a whole node's door: wishes, wires that are cut after any message, and peers that name another script. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { encodeAddress } from '../../src/bolt/address.ts';
import type { FeatureName } from '../../src/bolt/09-features/features.ts';
import type { Message, MessageOf } from '../../src/bolt/messages.ts';
import { fromHex, msat, sat, ZERO_32, type Hex } from '../../src/bolt/primitives.ts';
import type { ClosingState } from '../../src/domain/channel/closing-fee.ts';
import { bestClose, mutualCloseTxids } from '../../src/domain/channel/mutual-closes.ts';
import type { EstablishedState } from '../../src/domain/channel/state.ts';
import type { OpenChannelRequest } from '../../src/node.ts';
import { audited, commonFeatures, Wire, Wired } from '../support/wired-nodes.ts';

const P2TR: Hex = `5120${'77'.repeat(32)}`;
const P2WPKH: Hex = `0014${'88'.repeat(20)}`;
const address = (script: Hex): string => encodeAddress(script, 'bitcoin-regtest');
const without = (...names: readonly FeatureName[]): ReadonlySet<FeatureName> => new Set([...commonFeatures].filter((name) => !names.includes(name)));

let chain: RegtestChain;
let alice: Wired;
let bob: Wired;
let wire: Wire;

beforeEach(async () => {
  chain = createRegtestChain();
  alice = await new Wired('alice', chain).start();
  bob = await new Wired('bob', chain).start();
  await alice.fund();
  wire = new Wire(alice, bob);
});

afterEach(async () => {
  await Promise.all([alice.stop(), bob.stop()]);
  await chain.close();
});

const streamOf = ({ node }: Wired): string => node.channels()[0]!.stream;
const stateOf = ({ node }: Wired) => node.channels()[0]!.state as EstablishedState;
const bestOf = (who: Wired): string | undefined => bestClose(stateOf(who) as ClosingState)?.closing_txid;
const close = (who: Wired, options: { readonly feerate_per_kw?: number; readonly to?: string; readonly force?: boolean } = {}) => who.node.closeChannel(streamOf(who), options);
const types = (who: Wired) => who.events().then((events) => events.map(({ type }) => type));

async function open(features: ReadonlySet<FeatureName> = commonFeatures, request: Partial<OpenChannelRequest> = {}): Promise<void> {
  wire.connect(features);
  await alice.node.openChannel({ peer_id: bob.node.node_id, funding_satoshis: sat(200_000), push_msat: msat(50_000_000), announce: false, ...request });
  for (let round = 0; round < 3; round++) {
    await wire.settle();
    await mine(3);
  }
  await wire.settle();
  expect(alice.node.channels()).toMatchObject([{ usable: true }]);
}

async function mine(blocks: number): Promise<void> {
  chain.mineBlocks(blocks);
  await chain.settled();
}

/** Both ends publish the same close, which ends the channel; both logs audit clean. */
async function expectClosed(): Promise<void> {
  const best = bestOf(alice);
  expect(best).toBeDefined();
  expect(bestOf(bob)).toBe(best);
  await mine(7);
  await wire.settle();
  expect([alice, bob].map((who) => stateOf(who))).toMatchObject([{ phase: 'closed', spend: { kind: 'mutual', txid: best } }, { phase: 'closed', spend: { kind: 'mutual', txid: best } }]);
  await audited(alice, bob);
}

describe('a close', () => {
  it.each([
    ['by closing_complete', commonFeatures, ['closing_complete', 'closing_sig']],
    ['by closing_signed, with a peer that knows no other', without('option_simple_close'), ['closing_signed', 'closing_signed']],
  ] as const)('%s: the messages, the transaction, and both logs', async (_how, features, words) => {
    await open(features);
    wire.heard.length = 0;
    await close(alice);
    await wire.settle();
    expect(wire.heard.filter((line) => line.includes('closing')).map((line) => line.split(' <- ')[1]!)).toEqual(expect.arrayContaining([...words]));
    expect(wire.heard.slice(0, 2)).toEqual(['bob <- shutdown', 'alice <- shutdown']);
    await expectClosed();
  });

  it.each([
    ...[0, 1, 2, 3, 4, 5, 6].map((after) => [after, 'cut', commonFeatures] as const),
    ...[1, 2, 3, 4, 5].map((after) => [after, 'cut, with alice started again', commonFeatures] as const),
    ...[0, 1, 2, 3, 4].map((after) => [after, 'cut', without('option_simple_close')] as const),
  ])('whose wire is after %i messages %s, ends as if nothing had been', async (after, how, features) => {
    await open(features);
    await close(alice);
    await alice.node.settled();
    for (let n = 0; n < after && wire.next !== undefined; n++) await wire.deliver();
    await wire.cut();
    if (how !== 'cut') await alice.restart();
    wire.connect(features);
    await wire.settle();
    await expectClosed();
  });

  it.each([
    ['closing_signed goes on by closing_complete', without('option_simple_close'), commonFeatures],
    ['closing_complete goes on by closing_signed', commonFeatures, without('option_simple_close')],
  ] as const)('begun by %s when that is what both know after a reconnection', async (_how, before, after) => {
    await open(before);
    await close(alice);
    await wire.settle();
    await wire.cut();
    wire.connect(after);
    await wire.settle();
    const known = [alice, bob].map((who) => mutualCloseTxids(stateOf(who)));
    await mine(7);
    const [a, b] = [alice, bob].map((who) => stateOf(who));
    if (a?.phase !== 'closed' || b?.phase !== 'closed') throw new Error(`${a?.phase} and ${b?.phase}`);
    expect(a.spend).toMatchObject({ kind: 'mutual', txid: b.spend!.txid });
    for (const txids of known) expect(txids).toContain(a.spend!.txid);
    await audited(alice, bob);
  });
});

describe('a peer that leaves a close unanswered', () => {
  it('loses its connection when no closing_sig comes; the next connection begins anew', async () => {
    await open();
    await close(alice);
    // Both closing_complete are under way, and never arrive.
    await wire.settle(({ type }) => type === 'closing_complete');
    await mine(2);
    expect(wire.connected).toBe(true);
    await mine(1);
    await alice.node.settled();
    expect(wire.connected).toBe(false);
    wire.connect();
    await wire.settle();
    await expectClosed();
  });

  it('fails the channel after 144 blocks without any close that both signed, and not for being away', async () => {
    const features = without('option_simple_close');
    await open(features);
    await close(alice);
    await wire.settle(({ type }) => type === 'closing_signed');
    await mine(140);
    await wire.cut();
    await mine(20);
    expect(stateOf(alice).phase).toBe('closing');
    wire.connect(features);
    await wire.settle(({ type }) => type === 'closing_signed');
    await mine(3);
    expect(stateOf(alice).phase).toBe('closing');
    await mine(1);
    await alice.node.settled();
    expect(stateOf(alice)).toMatchObject({ phase: 'resolving', failure: { by: 'local', code: 'closing_unanswered' } });
    await mine(1);
    expect(stateOf(bob)).toMatchObject({ phase: 'resolving', spend: { kind: 'remote' } });
    await audited(alice);
  });
});

describe('a wish for a close', () => {
  it('with a feerate and a destination is heard when the peer is back', async () => {
    await open();
    await wire.cut();
    await close(alice, { feerate_per_kw: 4_000, to: address(P2TR) });
    expect(stateOf(alice).phase).toBe('normal');
    wire.connect();
    await wire.settle();
    expect(stateOf(alice)).toMatchObject({ phase: 'closing', scripts: { local: P2TR } });
    expect((await alice.events()).find(({ type }) => type === 'ClosingCompleteSent')).toMatchObject({ fee_satoshis: 2_896n, closer_scriptpubkey: P2TR });
    await expectClosed();
  });

  it('for a script that the peer turns out not to know is given up, and the log says why', async () => {
    await open();
    await wire.cut();
    await close(alice, { to: address(P2TR) });
    wire.connect(without('option_shutdown_anysegwit', 'option_simple_close'));
    await wire.settle();
    expect(stateOf(alice).phase).toBe('normal');
    expect(alice.log.join('\n')).toMatch(/the close that was asked for is given up: invalid_shutdown_script: .*P2WPKH, P2WSH.*5120/);
  });

  it('for another transaction needs the peer, and option_simple_close', async () => {
    await open(without('option_simple_close'));
    await close(bob);
    await wire.settle();
    await expect(close(bob, { feerate_per_kw: 9_000 })).rejects.toMatchObject({ code: 'simple_close_not_negotiated' });
    await wire.cut();
    await expect(close(bob, { feerate_per_kw: 9_000 })).rejects.toMatchObject({ code: 'peer_not_connected' });
    await expect(close(bob)).resolves.toBeUndefined();
    await expectClosed();
  });

  it('for a dearer one, or to another address, replaces what waits in the mempool', async () => {
    await open();
    await close(alice);
    await wire.settle();
    const first = bestOf(alice);
    await close(alice, { feerate_per_kw: 9_000, to: address(P2WPKH) });
    await wire.settle();
    expect(bestOf(alice)).not.toBe(first);
    expect(chain.mempool().map(({ txid }) => txid)).toEqual([bestOf(alice)]);
    await expectClosed();
  });

  it('by force, over a close that both have signed, owes both to the chain', async () => {
    await open();
    await close(alice);
    await wire.settle();
    await close(alice, { force: true });
    await wire.settle();
    expect(stateOf(alice)).toMatchObject({ phase: 'resolving', failure: { by: 'user' } });
    await mine(1);
    expect(stateOf(alice)).toMatchObject({ spend: { block_height: expect.any(Number) } });
  });
});

describe('a promise of the only script', () => {
  it('is told at the opening, and held by its owner and the peer', async () => {
    await open(commonFeatures, { close_to: address(P2WPKH) });
    await expect(close(alice, { to: address(P2TR) })).rejects.toMatchObject({ code: 'upfront_shutdown_script_differs' });
    await close(bob);
    await wire.settle();
    expect(stateOf(bob)).toMatchObject({ phase: 'closing', scripts: { remote: P2WPKH } });
    await expect(close(alice, { feerate_per_kw: 9_000, to: address(P2TR) })).rejects.toMatchObject({ code: 'upfront_shutdown_script_differs' });
    await expectClosed();
  });

  it.each([
    ['to a peer that would not keep it', without('option_upfront_shutdown_script'), P2WPKH, 'upfront_shutdown_script_unknown'],
    ['of a script that the peer does not know', without('option_shutdown_anysegwit', 'option_simple_close'), P2TR, 'invalid_shutdown_script'],
    ['of a script of old', commonFeatures, `76a914${'11'.repeat(20)}88ac`, 'invalid_shutdown_script'],
  ] as const)('%s is refused before anything is said', async (_what, features, script, code) => {
    wire.connect(features);
    await expect(alice.node.openChannel({ peer_id: bob.node.node_id, funding_satoshis: sat(200_000), close_to: address(script) })).rejects.toMatchObject({ code });
    expect(await types(alice)).not.toContain('OpenChannelSent');
  });

  it('that a peer breaks ends the connection with a warning, and the channel stays as it was', async () => {
    await open(commonFeatures, { close_to: address(P2WPKH) });
    await wire.cut();
    const heard: Message[] = [];
    let isOpen = true;
    const session = { peer_id: alice.node.node_id, features: commonFeatures, send: (message: Message) => heard.push(message) > 0, close: () => void (isOpen = false) };
    bob.node.inbox.connected(session);
    const { funding, commitments } = stateOf(bob);
    const { channel_id } = funding;
    await bob.node.inbox.receive({ type: 'channel_reestablish', channel_id, next_commitment_number: 1n, next_revocation_number: 0n, your_last_per_commitment_secret: ZERO_32, my_current_per_commitment_point: commitments.remote.point, tlvs: {} }, session);
    const shutdown: MessageOf<'shutdown'> = { type: 'shutdown', channel_id, scriptpubkey: P2TR, tlvs: {} };
    await bob.node.inbox.receive(shutdown, session);
    await bob.node.settled();
    expect(isOpen).toBe(false);
    const warning = heard.find((message): message is MessageOf<'warning'> => message.type === 'warning');
    expect(new TextDecoder().decode(fromHex(warning!.data))).toBe(`upfront_shutdown_script_differs: expected ${P2WPKH}, got ${P2TR}`);
    expect(stateOf(bob).phase).toBe('normal');
    bob.node.inbox.disconnected(session);
    wire.connect();
    await close(alice);
    await wire.settle();
    await expectClosed();
  });
});
