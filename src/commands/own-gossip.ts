/** Tells the network of our own channels as they come and go: announced once both sides have signed, disabled when they close. */
import { satToMsat, ZERO_32, type NodeId } from '../bolt/primitives.ts';
import type { Message } from '../bolt/messages.ts';
import { isEstablished, type ChannelState, type EstablishedState } from '../domain/channel/state.ts';
import { describeRefusal } from '../domain/decider.ts';
import type { ForwardingPolicy } from '../domain/relay/commands.ts';
import type { StreamId } from '../events/store.ts';
import type { Session } from './channel-context.ts';
import { toData } from './gather.ts';
import type { GossipInbox, OwnAnnouncement } from './gossip-inbox.ts';
import type { GossipPort } from './peer-inbox.ts';
import type { PrivateChannels } from './private-channels.ts';

export interface OwnGossipOptions {
  readonly gossip: GossipInbox;
  readonly node_id: NodeId;
  readonly policy: ForwardingPolicy;
  readonly node: Parameters<GossipInbox['announceOwnNode']>[0];
  readonly log: (line: string) => void;
}

/** Called after each turn of a channel: announces what is new, once. */
export function createOwnGossip({ gossip, node_id, policy, node, log }: OwnGossipOptions): { onChannel(stream: StreamId, state: ChannelState): void } {
  /** What was told last: the place on chain, which a reorganisation may change, and whether it is over. */
  const told = new Map<StreamId, string>();
  const report = (error: Error) => log(`our announcement went wrong: ${error.message}`);

  return {
    onChannel(stream, state) {
      if (!isEstablished(state)) return;
      const ready = announcement(state, node_id, policy);
      if (ready === undefined) return;
      const place = ready.short_channel_id;
      if (state.phase === 'normal' && told.get(stream) !== place) {
        told.set(stream, place);
        void gossip.announceOwnChannel(ready).then(() => gossip.announceOwnNode(node)).catch(report);
      }
      if (state.phase !== 'normal' && told.get(stream) === place) {
        told.set(stream, `${place} disabled`);
        const { short_channel_id, remote, htlc_maximum_msat } = ready;
        void gossip.announceOwnPolicy({ short_channel_id, remote: remote.node_id, policy, htlc_maximum_msat, disabled: true }).catch(report);
      }
    },
  };
}

/** BOLT 7: only with the signatures of both ends, and only for a confirmed funding. */
function announcement({ terms, funding, announcement: signed }: EstablishedState, node_id: NodeId, policy: ForwardingPolicy): OwnAnnouncement | undefined {
  if (!signed.sent || signed.received === undefined || funding.confirmed === undefined) return undefined;
  const { node_signature, bitcoin_signature } = signed.received;
  const capacity = satToMsat(terms.funding_satoshis);
  const most = terms.remote.max_htlc_value_in_flight_msat;
  return {
    key_index: terms.key_index,
    short_channel_id: funding.confirmed.short_channel_id,
    local: { node_id, bitcoin_key: terms.local.keys.funding_pubkey },
    remote: { node_id: terms.peer_id, bitcoin_key: terms.remote.keys.funding_pubkey },
    remote_signatures: { node_signature, bitcoin_signature },
    capacity: terms.funding_satoshis,
    policy,
    htlc_maximum_msat: most < capacity ? most : capacity,
  };
}

/** The gossip inbox as the peer inbox sees it; what a peer says to us alone does not come into it. */
export function gossipPort(gossip: GossipInbox, privateChannels: Pick<PrivateChannels, 'onUpdate'>): GossipPort {
  return {
    onMessage(message: Message, session: Session) {
      if (message.type === 'channel_update' && privateChannels.onUpdate(message, session)) return;
      gossip.onMessage(session.peer_id, message);
    },
    onConnected: (session) =>
      gossip.onPeerConnected({
        node_id: session.peer_id,
        send: (message) => session.send(message),
        warn: (refusal) => void session.send({ type: 'warning', channel_id: ZERO_32, data: toData(describeRefusal(refusal)), tlvs: {} }),
      }),
    onDisconnected: (session) => gossip.onPeerDisconnected(session.peer_id),
  };
}
