/** The tiny backup: which channels there are, and what is needed beside the seed to be paid out when their peers close them. Bytes, before they are sealed. */
import { CodecError, decode, encode, hex32, list, mapped, point, prefixedBytes, record, rest, sat64, msat64, txid, u16, u32, u64, u8, type Codec } from '../../bolt/codec.ts';
import type { Hex32, NodeId } from '../../bolt/primitives.ts';
import { fromHex, toHex } from '../../bolt/primitives.ts';
import type { StaticChannel } from './recovery.ts';

export interface StaticBackup {
  /** The hash of the log's first event: backups of other logs of this seed are no older or newer, but others. */
  readonly log_id: Hex32;
  /** How often that log had entered recovery: what it was before, it is no more. */
  readonly epoch: number;
  /** Events that the log had. With the same log and epoch, a larger one is proof of a newer log. */
  readonly size: bigint;
  /** First block that can concern the node. */
  readonly birthday: number;
  /** Unix seconds. */
  readonly written_at: number;
  readonly channels: readonly StaticChannel[];
  /** Where the peers were last reached. */
  readonly peers: readonly { readonly node_id: NodeId; readonly host: string; readonly port: number }[];
}

const VERSION = 1;

/** One of a few words as its index. */
const word = <const W extends readonly string[]>(...words: W): Codec<W[number]> =>
  mapped(u8, (index): W[number] => {
    const found = words[index];
    if (found === undefined) throw new CodecError('out_of_range', `expected a number below ${words.length}, got ${index}`);
    return found;
  }, (text) => words.indexOf(text));

const keys = record({ funding_pubkey: point, revocation_basepoint: point, payment_basepoint: point, delayed_payment_basepoint: point, htlc_basepoint: point });
const limits = { dust_limit_satoshis: sat64, to_self_delay: u16 };

const channel = record({
  peer_id: point,
  key_index: u32,
  role: word('opener', 'accepter'),
  format: word('static_remotekey', 'anchors_zero_fee_htlc_tx'),
  funding_txid: txid,
  funding_output_index: u16,
  funding_satoshis: sat64,
  push_msat: msat64,
  feerate_per_kw: u32,
  local: record(limits),
  remote: record({ ...limits, per_commitment_point: point, keys }),
});

const host: Codec<string> = mapped(prefixedBytes(u8), (bytes) => new TextDecoder().decode(fromHex(bytes)), (text) => toHex(new TextEncoder().encode(text)));

const backup = record({
  version: u8,
  log_id: hex32,
  epoch: u32,
  size: u64,
  birthday: u32,
  written_at: mapped(u64, Number, BigInt),
  channels: list(u16, channel),
  peers: list(u16, record({ node_id: point, host, port: u16 })),
  /** Zeros that hide how many channels there are. */
  padding: rest,
});

/** `length`: padded to so many bytes; channels with the least money are left out where they do not fit. */
export function encodeStaticBackup(content: StaticBackup, length?: number): Uint8Array {
  const bytes = encode(backup, { ...content, version: VERSION, padding: '' });
  if (length === undefined || bytes.length === length) return bytes;
  if (bytes.length < length) return encode(backup, { ...content, version: VERSION, padding: '00'.repeat(length - bytes.length) });
  const fitting = Math.min(content.channels.length - 1, Math.floor((content.channels.length * length) / bytes.length));
  const channels = content.channels.toSorted((a, b) => Number(b.funding_satoshis - a.funding_satoshis)).slice(0, fitting);
  const peers = content.peers.filter(({ node_id }) => channels.some(({ peer_id }) => peer_id === node_id));
  return encodeStaticBackup({ ...content, channels, peers }, length);
}

/** Throws CodecError for what is no backup of this version. */
export function decodeStaticBackup(bytes: Uint8Array): StaticBackup {
  const { version, padding: _padding, ...content } = decode(backup, bytes);
  if (version !== VERSION) throw new CodecError('out_of_range', `a static backup: expected version ${VERSION}, got ${version}`);
  return content;
}
