/** The log is the channel: folded again from its stored text it gives the live state, at every point and at every cut. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { effectsOf, owedToChain } from '../../src/domain/channel/effects.ts';
import { evolveChannel } from '../../src/domain/channel/evolve.ts';
import { initialChannel, type ChannelState } from '../../src/domain/channel/state.ts';
import { canonicalData } from '../../src/events/canonical.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import { decodeEvent } from '../../src/events/registry.ts';
import type { Peer } from '../support/channel-pair.ts';
import { beginning, life, live, repeatably } from '../support/channel-simulation.ts';
import { runs } from '../support/property.ts';

const stored = (event: ChannelEvent): ChannelEvent => decodeEvent(event.type, JSON.parse(canonicalData(event))) as ChannelEvent;

describe('a channel\'s log', () => {
  it('replayed event by event keeps step with the live state', () => {
    fc.assert(fc.property(beginning, life, (name, steps) => {
      const shadows = new Map<Peer, ChannelState>();
      const follow = (peer: Peer, event: ChannelEvent) => {
        const shadow = evolveChannel(shadows.get(peer)!, stored(event));
        shadows.set(peer, shadow);
        expect(shadow).toEqual(peer.state);
      };
      live(name, steps, ({ peers }) => peers.forEach((peer) => {
        shadows.set(peer, peer.replayed());
        peer.listeners.push(follow);
      }));
    }), repeatably(runs(40, 200)));
  });

  it('is read back as it was written, event by event', () => {
    fc.assert(fc.property(beginning, life, (name, steps) => {
      for (const { events } of live(name, steps).pair.peers) for (const event of events) expect(stored(event)).toEqual(event);
    }), repeatably(runs(20, 100)));
  });

  it('cut anywhere gives a state that owes the peer and the chain what the live one owed there', () => {
    fc.assert(fc.property(beginning, life, fc.nat(), (name, steps, cut) => {
      for (const peer of live(name, steps).pair.peers) {
        const length = 1 + (cut % peer.events.length);
        const live = peer.events.slice(0, length).reduce(evolveChannel, initialChannel);
        const replayed = peer.log.slice(0, length).reduce((state, { type, data }) => evolveChannel(state, decodeEvent(type, JSON.parse(data)) as ChannelEvent), initialChannel);
        expect(replayed).toEqual(live);
        expect(owedToChain(replayed)).toEqual(owedToChain(live));
        const last = peer.events.slice(length - 1, length);
        expect(effectsOf(last.map(stored), replayed)).toEqual(effectsOf(last, live));
      }
    }), repeatably(runs(30, 150)));
  });
});
