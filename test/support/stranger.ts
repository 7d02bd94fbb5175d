/** A peer that opens channels by the rules and then names whatever outpoint it likes, properly signed: what a thief would do. */
import { createSigner, type LocalSigner } from '../../src/adapters/signer/local-signer.ts';
import { buildCommitment } from '../../src/bolt/03-transactions/commitment-tx.ts';
import { channelId } from '../../src/bolt/02-peer-protocol/opening.ts';
import { encodeChannelType } from '../../src/bolt/09-features/channel-types.ts';
import type { Message, MessageOf } from '../../src/bolt/messages.ts';
import { msat, sat, type Hex32 } from '../../src/bolt/primitives.ts';
import type { Session } from '../../src/commands/channel-context.ts';
import type { LocalKeys } from '../../src/domain/channel/commands.ts';
import { commitmentParams, commitmentSpec } from '../../src/domain/channel/commitment-spec.ts';
import { decideChannel } from '../../src/domain/channel/decide.ts';
import { effectsOf } from '../../src/domain/channel/effects.ts';
import { evolveChannel } from '../../src/domain/channel/evolve.ts';
import { establish } from '../../src/domain/channel/opening-facts.ts';
import { initialChannel, type ChannelState } from '../../src/domain/channel/state.ts';
import { DEFAULT_POLICY, type AssembledNode } from '../../src/node.ts';
import { NETWORK, seedOf } from './simulation/identities.ts';
import { REGTEST_CHAIN_HASH } from './channel-peer.ts';
import { hash } from './words.ts';

export class Stranger {
  readonly name: string;
  readonly heard: Message[] = [];
  readonly session: Session;
  readonly #signer: LocalSigner;
  readonly #victim: AssembledNode;
  #openings = 0;

  constructor(name: string, victim: AssembledNode) {
    this.name = name;
    this.#signer = createSigner(seedOf(name), { network: NETWORK });
    this.#victim = victim;
    this.session = { peer_id: this.#signer.nodeId, send: (message) => this.heard.push(message) > 0, close: () => victim.inbox.disconnected(this.session) };
    victim.inbox.connected(this.session);
  }

  leave(): void {
    this.#victim.inbox.disconnected(this.session);
  }

  async say(message: Message): Promise<void> {
    await this.#victim.inbox.receive(message, this.session);
  }

  /** Its open_channel, for a channel of its own or one that it names as it likes. */
  proposal(temporary_channel_id: Hex32 = hash(`${this.name} opens ${this.#openings}`)): { readonly message: MessageOf<'open_channel'>; readonly state: ChannelState } {
    const key_index = this.#openings++;
    const local: LocalKeys = { key_index, keys: this.#signer.channelKeys(key_index), first_per_commitment_point: this.#signer.perCommitmentPoint(key_index, 0n) };
    const decision = decideChannel({
      type: 'OpenChannel', peer_id: this.#victim.node_id, local, chain_hash: REGTEST_CHAIN_HASH, temporary_channel_id, funding_satoshis: sat(100_000), push_msat: msat(0),
      feerate_per_kw: 1_000, announce: false, channel_type: encodeChannelType({ format: 'anchors_zero_fee_htlc_tx', scid_alias: false, zero_conf: false }), policy: DEFAULT_POLICY,
    }, initialChannel);
    if ('refused' in decision) throw new Error(decision.refused.code);
    const state = decision.accepted.reduce(evolveChannel, initialChannel);
    const [effect] = effectsOf(decision.accepted, state);
    return { message: (effect as { readonly message: MessageOf<'open_channel'> }).message, state };
  }

  /** Opens, and answers with its funding_created for any outpoint once accept_channel has come. */
  async open(temporary_channel_id?: Hex32): Promise<(txid: Hex32, output_index: number) => MessageOf<'funding_created'>> {
    const { message, state } = this.proposal(temporary_channel_id);
    await this.say(message);
    const answer = await this.hears((said): said is MessageOf<'accept_channel'> => said.type === 'accept_channel' && said.temporary_channel_id === message.temporary_channel_id);
    const decision = decideChannel({ type: 'ReceiveAcceptChannel', message: answer, policy: DEFAULT_POLICY }, state);
    if ('refused' in decision) throw new Error(decision.refused.code);
    const accepted = decision.accepted.reduce(evolveChannel, state);
    if (accepted.phase !== 'opening' || accepted.step !== 'accepted') throw new Error(`the opening is ${accepted.phase}`);
    return (txid, output_index) => {
      const channel = establish(accepted, { txid, output_index, channel_id: channelId(txid, output_index) });
      const [params, spec] = [commitmentParams(channel, 'remote'), commitmentSpec(channel, 'remote')];
      const { signature } = this.#signer.signRemoteCommitment(accepted.terms.key_index, buildCommitment(params, spec), params, spec);
      return { type: 'funding_created', temporary_channel_id: message.temporary_channel_id, funding_txid: txid, funding_output_index: output_index, signature, tlvs: {} };
    };
  }

  /** Waits for a message, at most 5 s. */
  async hears<M extends Message>(wanted: (message: Message) => message is M): Promise<M> {
    for (let tries = 0; tries < 5_000; tries++) {
      const found = this.heard.find(wanted);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    throw new Error(`${this.name} has heard only ${this.heard.map(({ type }) => type).join()}`);
  }
}
