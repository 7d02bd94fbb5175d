/** A channel whose newest state is lost: nothing of ours is owed to the chain, and a static backup brings back a channel that its peer can close. */
import { beforeAll, describe, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { buildCommitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { commitmentParams, commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
import { decideChannel } from '../../../src/domain/channel/decide.ts';
import { owedToChain } from '../../../src/domain/channel/effects.ts';
import { evolveChannel } from '../../../src/domain/channel/evolve.ts';
import { assertInvariants } from '../../../src/domain/channel/invariants.ts';
import { hasLostData, isAtStake, marksIn, staticChannelOf } from '../../../src/domain/channel/recovery.ts';
import { initialChannel, isEstablished, type ChannelState, type EstablishedState } from '../../../src/domain/channel/state.ts';
import type { ChannelCommand } from '../../../src/domain/channel/commands.ts';
import { behindBackup, behindMarks, type LogIdentity } from '../../../src/commands/rollback-guard.ts';
import { hex32 } from '../../../src/bolt/primitives.ts';
import { funded, opened, REGTEST_CHAIN_HASH, type Pair } from '../../support/channel-pair.ts';

beforeAll(() => chooseCryptoBackend());

function after(state: ChannelState, command: ChannelCommand): ChannelState {
  const decision = decideChannel(command, state);
  if ('refused' in decision) throw new Error(decision.refused.code);
  return decision.accepted.reduce(evolveChannel, state);
}

const reason = 'log_behind_marks: a test';
const established = (state: ChannelState): EstablishedState => {
  if (!isEstablished(state)) throw new Error(state.phase);
  return state;
};

describe('entering recovery', () => {
  it.each([['opening', funded], ['normal', opened]] as const)('fails a channel in %s, and owes the chain nothing', (_phase, make) => {
    const state = after(make().alice.state, { type: 'EnterRecovery', reason });
    expect(state).toMatchObject({ phase: 'resolving', failure: { by: 'local', code: 'data_loss', reason } });
    expect([hasLostData(state), owedToChain(state)]).toEqual([true, []]);
    expect(decideChannel({ type: 'EnterRecovery', reason }, state)).toEqual({ accepted: [] });
    expect(decideChannel({ type: 'ForceClose', reason: 'no' }, state)).toMatchObject({ refused: { code: 'already_closing' } });
  });

  it('takes back a force close that was owed: the commitment may be revoked', () => {
    const failed = after(opened().alice.state, { type: 'ForceClose', reason: 'a while ago' });
    expect(owedToChain(failed)).toMatchObject([{ kind: 'broadcast', what: 'commitment' }]);
    expect(owedToChain(after(failed, { type: 'EnterRecovery', reason }))).toEqual([]);
  });

  it('leaves alone what is nothing yet', () => {
    expect(decideChannel({ type: 'EnterRecovery', reason }, initialChannel)).toEqual({ accepted: [] });
  });
});

/** alice's channel from her static backup, in a new log. */
function restored(pair: Pair): EstablishedState {
  const channel = staticChannelOf(established(pair.alice.state));
  return established(after(initialChannel, { type: 'RestoreChannel', channel, local: pair.alice.localKeys, chain_hash: REGTEST_CHAIN_HASH, reason: 'restored from a test' }));
}

describe('a channel from a static backup', () => {
  it.each(['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const)('has the terms, the funding and the first commitments that the log had (%s)', (format) => {
    const pair = opened({ format });
    const [before, back] = [established(pair.alice.state), restored(pair)];
    assertInvariants(back);
    expect(hasLostData(back) && isAtStake(back)).toBe(true);
    expect(owedToChain(back)).toEqual([]);
    const { txid, output_index, channel_id } = before.funding;
    expect(back.funding).toEqual({ txid, output_index, channel_id });
    for (const owner of ['local', 'remote'] as const) {
      const built = (state: EstablishedState) => buildCommitment(commitmentParams(state, owner), commitmentSpec(state, owner)).txid;
      expect(built(back), `the ${owner} commitment 0`).toBe(built(before));
    }
  });

  it('is put in no stream that has a channel', () => {
    const pair = opened();
    const channel = staticChannelOf(established(pair.alice.state));
    const local = pair.alice.localKeys;
    expect(decideChannel({ type: 'RestoreChannel', channel, local, chain_hash: REGTEST_CHAIN_HASH, reason }, pair.alice.state)).toMatchObject({ refused: { code: 'channel_exists' } });
  });
});

describe('safety 29: the log beside the signer\'s marks', () => {
  const stream = 'channel-02ab-0';
  const marksOf = (signed: bigint, revoked: bigint) => new Map([[established(opened().alice.state).terms.key_index, { signed, revoked }]]);

  it('is behind by one signature, by one revocation, by a channel; and never by what it knows itself', () => {
    const { state } = opened().alice;
    const { key_index } = established(state).terms;
    const check = (marks: ReadonlyMap<number, { signed: bigint; revoked: bigint }>, nextKeyIndex = key_index + 1) => behindMarks([{ stream, state }], nextKeyIndex, marks)?.reason;
    const { signed, revoked } = marksIn(established(state));
    expect(check(marksOf(signed, revoked))).toBeUndefined();
    expect(check(new Map())).toBeUndefined();
    expect(check(marksOf(signed - 1n, revoked - 1n)), 'what a power cut took from the marks').toBeUndefined();
    expect(check(marksOf(signed + 1n, revoked))).toMatch(/up to 0, the signer signed up to 1/);
    expect(check(marksOf(signed, revoked + 1n))).toMatch(/up to -1, the signer gave them up to 0/);
    expect(check(new Map([[key_index + 5, { signed: 0n, revoked: -1n }]]))).toMatch(/below \d+, the signer signed with keys \d+/);
  });

  it('is behind where the marks know signatures for a channel that it only knows as proposed', () => {
    const opening = { phase: 'opening', step: 'proposed', proposal: { key_index: 4 } } as unknown as ChannelState;
    expect(behindMarks([{ stream, state: opening }], 5, new Map([[4, { signed: 0n, revoked: -1n }]]))?.code).toBe('log_behind_marks');
  });

  it('is no news where it is being recovered, or has ended', () => {
    const lost = after(opened().alice.state, { type: 'EnterRecovery', reason });
    expect(behindMarks([{ stream, state: lost }], 99, marksOf(50n, 49n))).toBeUndefined();
  });

  it('is behind a backup of the same log and epoch that was made when it was longer', () => {
    const log: LogIdentity = { log_id: hex32('aa'.repeat(32)), epoch: 1, size: 100n };
    const backup = { ...log, birthday: 0, written_at: 0, channels: [], peers: [] };
    expect(behindBackup(log, { ...backup, size: 101n }, 'a backup')).toMatchObject({ code: 'log_behind_backup', reason: 'the log has 100 events, a backup was made when it had 101' });
    for (const other of [{ size: 100n }, { size: 101n, epoch: 0 }, { size: 101n, log_id: hex32('bb'.repeat(32)) }]) expect(behindBackup(log, { ...backup, ...other }, 'a backup')).toBeUndefined();
  });
});
