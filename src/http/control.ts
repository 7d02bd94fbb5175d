/** What the API may ask of a running node. Whoever serves one implements it; the routes know nothing else of a node's inside. */
import type { Invoice } from '../bolt/11-payment-encoding/invoice.ts';
import type { BlockHeight, Hex32, Msat, NodeId, Sat } from '../bolt/primitives.ts';
import type { StreamId } from '../events/store.ts';

export interface NodeInfo {
  readonly node_id: NodeId;
  readonly alias: string;
  readonly version: string;
  readonly network: string;
  readonly chain_hash: Hex32;
  readonly block_height: BlockHeight;
  /** Where peers reach it: `<node_id>@<host>:<port>`. */
  readonly address: string;
  readonly peers: number;
  readonly channels: { readonly opening: number; readonly open: number; readonly closing: number; readonly closed: number };
  readonly graph: { readonly channels: number };
  readonly store: string;
  readonly log: { readonly position?: bigint; readonly checkpoint_key: string };
  readonly crypto_backend: string;
  /** sat per 1000 weight units: for 2, 6 and 144 blocks. `trouble`: why some are older than the last block. */
  readonly feerates: { readonly urgent: number; readonly normal: number; readonly economic: number; readonly trouble?: string | undefined };
  /** Why no payment is taken now: the chain cannot be watched. Absent while all is well. */
  readonly chain_trouble?: { readonly code: string; readonly reason: string };
  /** The log is older than what the node did: it only gets its money back. Absent in normal times. */
  readonly recovery?: {
    readonly code: string;
    readonly reason: string;
    readonly channels_left: readonly { readonly stream: StreamId; readonly peer_id: NodeId; readonly waits_for: 'peer_to_close' | 'chain' }[];
  };
  readonly started_at: string;
}

export interface ConnectedPeer {
  readonly node_id: NodeId;
  readonly channels: readonly StreamId[];
}

export interface OpenWish {
  readonly peer_id: NodeId;
  readonly funding_satoshis: Sat;
  readonly push_msat?: Msat;
  readonly announce?: boolean;
  /** Used before its funding is in a block. */
  readonly zero_conf?: boolean;
  readonly channel_type?: 'anchors_zero_fee_htlc_tx' | 'static_remotekey';
  /** An address: the only one that a mutual close will pay us to. */
  readonly close_to?: string;
  /** The same one again asks for the same channel. */
  readonly command_id?: Hex32;
}

export interface CloseWish {
  readonly force: boolean;
  /** sat per 1000 weight. */
  readonly feerate_per_kw?: number;
  /** An address. */
  readonly to?: string;
}

/** What a channel waits for, as the chain stands now. */
export type Waiting =
  | { readonly for: 'peer_messages' }
  | { readonly for: 'peer_connection' }
  | { readonly for: 'funding_confirmations'; readonly txid: Hex32; readonly confirmations: number; readonly needed: number }
  | { readonly for: 'closing_confirmations'; readonly txid?: Hex32; readonly confirmations: number; readonly needed: number }
  | { readonly for: 'to_self_delay'; readonly txid: Hex32; readonly blocks_left: number }
  | { readonly for: 'sweep_confirmations'; readonly txid: Hex32; readonly confirmations: number; readonly needed: number };

export interface LiveChannel {
  readonly stream: StreamId;
  readonly phase: string;
  /** Payments may pass now. */
  readonly usable: boolean;
  readonly peer_connected: boolean;
  readonly waiting?: Waiting;
}

export interface InvoiceWish {
  readonly amount_msat?: Msat;
  readonly description: string;
  /** Seconds. */
  readonly expiry?: number;
}

export interface CreatedInvoice {
  readonly bolt11: string;
  readonly payment_hash: Hex32;
  /** Unix seconds. */
  readonly expires_at: number;
}

export interface PaymentWish {
  readonly bolt11: string;
  readonly amount_msat?: Msat;
  readonly fee_limit_msat?: Msat;
  readonly max_attempts?: number;
  /** The same one again asks for the same payment. */
  readonly command_id?: Hex32;
}

interface NamedPayment {
  readonly payment_id: Hex32;
  readonly payment_hash: Hex32;
}

export type PaymentOutcome =
  | ({ readonly status: 'succeeded'; readonly payment_preimage: Hex32; readonly amount_msat: Msat; readonly fee_msat: Msat; readonly attempts: number } & NamedPayment)
  | ({ readonly status: 'failed'; readonly code: string; readonly reason: string; readonly failure_code?: number; readonly failure_name?: string; readonly erring_node?: NodeId; readonly attempts: number } & NamedPayment);

export interface WalletContents {
  readonly balance: { readonly confirmed_sat: Sat; readonly pending_sat: Sat; readonly reserved_sat: Sat; readonly immature_sat: Sat; readonly total_sat: Sat };
  readonly coins: readonly { readonly txid: Hex32; readonly output_index: number; readonly value_sat: Sat; readonly block_height?: BlockHeight }[];
  readonly unconfirmed: readonly { readonly txid: Hex32; readonly purpose: string; readonly fee_satoshis: Sat }[];
}

export interface SendWish {
  readonly address: string;
  readonly amount_sat: Sat;
  /** sat per 1000 weight units. */
  readonly feerate_per_kw?: number;
  /** The same one again sends nothing new. */
  readonly command_id?: Hex32;
}

export interface SentCoins {
  readonly txid: Hex32;
  readonly amount_sat: Sat;
  readonly fee_satoshis: Sat;
}

/** Every method throws ControlRefusal for what cannot be done; anything else thrown is a bug of ours. */
export interface ControlledNode {
  readonly node_id: NodeId;
  info(): Promise<NodeInfo>;
  peers(): readonly ConnectedPeer[];
  /** Resolves when the peer has answered; the node keeps the connection from then on, after a restart too. */
  connect(peer: { readonly node_id: NodeId; readonly host: string; readonly port: number }): Promise<void>;
  disconnect(node_id: NodeId): void;
  /** Resolves when open_channel is owed to the peer. */
  openChannel(wish: OpenWish): Promise<StreamId>;
  closeChannel(stream: StreamId, options: CloseWish): Promise<void>;
  channel(stream: StreamId): Promise<LiveChannel | undefined>;
  /** The streams that a person may mean: by stream, channel_id, short_channel_id or funding outpoint. */
  channelsNamed(name: string): readonly StreamId[];
  createInvoice(wish: InvoiceWish): Promise<CreatedInvoice>;
  /** Resolves once the payment is durable. */
  startPayment(wish: PaymentWish): Promise<NamedPayment>;
  /** Resolves at the payment's end; undefined when there is none of this id. */
  paymentEnded(payment_id: Hex32): Promise<PaymentOutcome | undefined>;
  decode(text: string): Invoice;
  newAddress(purpose: string): Promise<string>;
  wallet(): Promise<WalletContents>;
  /** Resolves once the transaction is durable and on its way. */
  sendCoins(wish: SendWish): Promise<SentCoins>;
  /** Asks the process to end in good order; answers before it does. */
  stop(): void;
}

/** Whose turn it is after a refusal: the caller's words are wrong, there is no such thing, not now, never, or somebody else does not answer. */
export type RefusalKind = 'invalid' | 'missing' | 'conflict' | 'refused' | 'unreachable' | 'unavailable';

/** The node will not, or cannot. The message is a sentence with both values. */
export class ControlRefusal extends Error {
  readonly kind: RefusalKind;
  readonly code: string;
  readonly detail: Readonly<Record<string, unknown>>;
  constructor(kind: RefusalKind, code: string, message: string, detail: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = 'ControlRefusal';
    this.kind = kind;
    this.code = code;
    this.detail = detail;
  }
}
