/** What is said or asked twice happens once. Safety 24: a duplicate fulfil or fail, stored twice, force-closed channels elsewhere. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeMessage } from '../../src/bolt/messages.ts';
import type { ChannelCommand } from '../../src/domain/channel/commands.ts';
import { opened, scriptOf, type Peer } from '../support/channel-pair.ts';
import { beginning, life, live, repeatably } from '../support/channel-simulation.ts';
import { runs } from '../support/property.ts';

/** Repeats every message to this peer at once. The second changes no state, stores nothing and owes nothing. */
function hearTwice(peer: Peer): void {
  const receive = peer.receive.bind(peer);
  peer.receive = (bytes) => {
    const first = receive(bytes);
    const { type } = decodeMessage(bytes);
    // It says where the peer stands, as often as it likes; what it costs is bounded by the connection.
    if (type === 'channel_reestablish') return first;
    const [state, stored, owed, broadcast] = [peer.state, peer.log.length, peer.outbox.length, peer.broadcasts.length];
    const second = receive(bytes);
    expect(second === undefined || 'refused' in second || second.accepted.length === 0, `${type}, heard twice`).toBe(true);
    expect(peer.state).toBe(state);
    expect([peer.log.length, peer.outbox.length, peer.broadcasts.length]).toEqual([stored, owed, broadcast]);
    return first;
  };
}

describe('safety 24: every message delivered twice', () => {
  it('changes nothing or is refused, and the channel goes on', () => {
    fc.assert(fc.property(beginning, life, (name, steps) => {
      live(name, steps, ({ peers }) => peers.forEach(hearTwice));
    }), repeatably(runs(100, 500)));
  });

  it('channel_reestablish said again leaves the state as it is', () => {
    const pair = opened();
    pair.alice.offer();
    pair.alice.followUp();
    pair.disconnect().reconnect();
    const [bytes] = pair.alice.outbox;
    pair.deliver(pair.bob);
    const { state } = pair.bob;
    pair.bob.receive(bytes!);
    expect(pair.bob.state).toEqual(state);
  });
});

describe('every command given twice', () => {
  const commands: fc.Arbitrary<ChannelCommand> = fc.oneof(
    fc.record({ type: fc.constant('FailHtlc' as const), htlc_id: fc.bigInt(0n, 3n), failure: fc.constant({ kind: 'local' as const, failure_code: 0x2002, failure_data: '' }) }),
    fc.record({ type: fc.constant('FailMalformedHtlc' as const), htlc_id: fc.bigInt(0n, 3n), failure_code: fc.constant(0xc005), sha256_of_onion: fc.constant('00'.repeat(32) as never) }),
    fc.constant({ type: 'SignCommitment' as const }),
    fc.constant({ type: 'CloseChannel' as const, scriptpubkey: scriptOf('alice') }),
    fc.constant({ type: 'NegotiateClosing' as const, feerate_per_kw: 1_000 }),
    fc.constant({ type: 'ForceClose' as const, reason: 'test' }),
    fc.constant({ type: 'ReceiveError' as const, data: 'test' }),
    fc.record({ type: fc.constant('ReceiveBlock' as const), height: fc.integer({ min: 800_000, max: 800_300 }) }),
    fc.record({ type: fc.constant('RollBack' as const), to_height: fc.integer({ min: 799_000, max: 800_300 }) }),
    fc.constant({ type: 'AbandonOpening' as const, code: 'test', reason: 'test' }),
  );

  it('is carried out once', () => {
    fc.assert(fc.property(beginning, life, fc.array(commands, { maxLength: 6 }), fc.constantFrom('alice' as const, 'bob' as const), (name, steps, wishes, who) => {
      const simulation = live(name, steps);
      const peer = simulation.pair[who];
      for (const command of wishes) {
        peer.decide(command);
        const { state } = peer;
        const second = peer.decide(command);
        expect('refused' in second || second.accepted.length === 0, `${command.type}, given twice`).toBe(true);
        expect(peer.state).toBe(state);
      }
    }), repeatably(runs(60, 300)));
  });
});
