/** What a channel's loop needs of the world around it. Values and ports, handed in by the composition root. */
import type { FeatureName } from '../bolt/09-features/features.ts';
import type { Message } from '../bolt/messages.ts';
import type { BlockHeight, Hex, Hex32, NodeId, Point, Sat, ShortChannelId, Signature } from '../bolt/primitives.ts';
import type { ChannelPolicy } from '../domain/channel/commands.ts';
import type { ChannelState } from '../domain/channel/state.ts';
import type { Feerates } from '../domain/feerates.ts';
import type { ChainTrouble } from '../domain/chain-contact.ts';
import type { Chain, Signer } from '../domain/ports.ts';
import type { EventStore, StreamId } from '../events/store.ts';

/** The live connection to a channel's peer. */
export interface Session {
  readonly peer_id: NodeId;
  /** What both of us can do (BOLT 9). Absent: nothing beyond what every node can. */
  readonly features?: ReadonlySet<FeatureName>;
  /** False once the connection has ended. */
  send(message: Message): boolean;
  /** Ends the connection; the peer reconnects and both start from what is durable. */
  close(code: string, detail: string): void;
}

export interface FundingRequest {
  readonly stream: StreamId;
  readonly script_pubkey: Hex;
  readonly amount_sat: Sat;
  readonly feerate_per_kw: number;
}

export interface FundingTransaction {
  readonly txid: Hex32;
  readonly output_index: number;
  /** Raw and signed; broadcast only when the peer has signed our way out. */
  readonly transaction: Hex;
}

/** What one channel must know of the others: its names have to be its own. */
export interface ChannelNaming {
  /** A random short_channel_id that no channel of ours has. */
  freshAlias(): ShortChannelId;
  /** False when another channel with this peer has the channel_id, or is about to. */
  claim(peer_id: NodeId, channel_id: Hex32, temporary_channel_id: Hex32): boolean;
}

export interface ChannelContext {
  readonly store: EventStore & { recall?(hash: Hex32): Hex | undefined };
  readonly signer: Signer;
  readonly chain: Pick<Chain, 'chain_hash' | 'broadcast' | 'confirmedTransaction'>;
  readonly policy: ChannelPolicy;
  /** The newest block known, blocks. */
  height(): BlockHeight;
  /** sat per 1000 weight, for closing and sweeping. */
  feerate(): number;
  /** By how soon a transaction must confirm. */
  feerates(): Feerates;
  /** A fresh script of our wallet. */
  destinationScript(purpose: string): Promise<Hex>;
  fund(request: FundingRequest): Promise<FundingTransaction>;
  /** Signs a claim's input that spends a coin of our wallet, SIGHASH_ALL. */
  signCoin(script_pubkey: Hex, sighash: Uint8Array): { readonly signature: Signature; readonly pubkey: Point };
  /** Why no deadline could be kept now, so that no HTLC is offered; undefined while all is well. */
  chainTrouble?(): ChainTrouble | undefined;
  /** What the channels beside this one are called; Channels fills it in. */
  readonly names?: ChannelNaming;
  /** Called after each durable turn. */
  onTurn?(stream: StreamId, state: ChannelState): void;
  /** For people; never a secret. */
  log(line: string, fields?: Readonly<Record<string, unknown>>): void;
}
