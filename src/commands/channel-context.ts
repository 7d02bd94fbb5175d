/** What a channel's loop needs of the world around it. Values and ports, handed in by the composition root. */
import type { Message } from '../bolt/messages.ts';
import type { BlockHeight, Hex, Hex32, NodeId, Sat } from '../bolt/primitives.ts';
import type { ChannelPolicy } from '../domain/channel/commands.ts';
import type { ChannelState } from '../domain/channel/state.ts';
import type { Chain, Signer } from '../domain/ports.ts';
import type { EventStore, StreamId } from '../events/store.ts';

/** The live connection to a channel's peer. */
export interface Session {
  readonly peer_id: NodeId;
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

export interface ChannelContext {
  readonly store: EventStore & { recall?(hash: Hex32): Hex | undefined };
  readonly signer: Signer;
  readonly chain: Pick<Chain, 'chain_hash' | 'broadcast' | 'confirmedTransaction'>;
  readonly policy: ChannelPolicy;
  /** The newest block known, blocks. */
  height(): BlockHeight;
  /** sat per 1000 weight, for closing and sweeping. */
  feerate(): number;
  /** A fresh script of our wallet. */
  destinationScript(purpose: string): Promise<Hex>;
  fund(request: FundingRequest): Promise<FundingTransaction>;
  /** Called after each durable turn. */
  onTurn?(stream: StreamId, state: ChannelState): void;
  /** For people; never a secret. */
  log(line: string, fields?: Readonly<Record<string, unknown>>): void;
}
