/** The BOLT 3 commitment vectors as our own parameters. */
import { readFileSync } from 'node:fs';
import type { CommitmentFormat, CommitmentHtlc, CommitmentParams, CommitmentSpec } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { fromDer } from '../../../src/bolt/03-transactions/tx.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { fromHex, hex32, type Hex32, msat, type Point, sat, type Signature, toHex } from '../../../src/bolt/primitives.ts';

export interface CommitmentVectors {
  readonly format: CommitmentFormat;
  readonly funding_txid: Hex32;
  readonly funding_output_index: number;
  readonly funding_satoshis: number;
  readonly commitment_number: number;
  readonly to_self_delay: number;
  readonly htlcs: readonly { id: number; direction: 'offered' | 'received'; amount_msat: number; cltv_expiry: number; payment_preimage: Hex32 }[];
  readonly keys: Readonly<Record<string, Point>>;
  readonly secrets: Readonly<Record<string, string>>;
  readonly cases: readonly CommitmentCase[];
}

export interface CommitmentCase {
  readonly name: string;
  readonly owner_msat: string;
  readonly other_msat: string;
  readonly feerate_per_kw: number;
  readonly dust_limit_satoshis: number;
  readonly htlc_ids: readonly number[];
  readonly remote_signature_der: string;
  readonly commitment_tx: string;
  readonly base_fee?: number;
  readonly actual_fee?: number;
  readonly outputs?: readonly { kind: string; value: number; witness_script?: string }[];
  readonly htlc_transactions: readonly { remote_signature_der: string; local_signature_der: string | null; tx: string }[];
}

export const readVectors = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')) as T;

export const signatureOf = (der: string): Signature => fromDer(`${der}01`)!.signature;

/** The owner is the vectors' local side, which opened the channel. */
export function paramsOf({ keys, secrets, ...vectors }: CommitmentVectors, dust_limit_satoshis: number): CommitmentParams {
  const any = keys.local_payment_basepoint!;
  const side = { dust_limit_satoshis: sat(dust_limit_satoshis), to_self_delay: vectors.to_self_delay };
  return {
    format: vectors.format,
    funding_txid: vectors.funding_txid,
    funding_output_index: vectors.funding_output_index,
    funding_satoshis: sat(vectors.funding_satoshis),
    opener: 'owner',
    owner: {
      ...side,
      funding_pubkey: keys.local_funding_pubkey!,
      revocation_basepoint: any,
      payment_basepoint: keys.local_payment_basepoint!,
      delayed_payment_basepoint: secrets.local_delayed_payment_basepoint as Point,
      htlc_basepoint: keys.local_htlc_basepoint!,
    },
    other: {
      ...side,
      funding_pubkey: keys.remote_funding_pubkey!,
      revocation_basepoint: secrets.remote_revocation_basepoint as Point,
      payment_basepoint: keys.remote_payment_basepoint!,
      delayed_payment_basepoint: any,
      htlc_basepoint: keys.remote_htlc_basepoint!,
    },
  };
}

export function specOf(vectors: CommitmentVectors, test: CommitmentCase): CommitmentSpec {
  return {
    commitment_number: BigInt(vectors.commitment_number),
    feerate_per_kw: test.feerate_per_kw,
    owner_msat: msat(BigInt(test.owner_msat)),
    other_msat: msat(BigInt(test.other_msat)),
    htlcs: test.htlc_ids.map((id) => htlcOf(vectors, id)),
    per_commitment_point: vectors.secrets.local_per_commitment_point as Point,
  };
}

function htlcOf(vectors: CommitmentVectors, id: number): CommitmentHtlc {
  const { direction, amount_msat, cltv_expiry, payment_preimage } = vectors.htlcs[id]!;
  const payment_hash = hex32(toHex(crypto().sha256(fromHex(payment_preimage))));
  return { id: BigInt(id), direction, amount_msat: msat(amount_msat), cltv_expiry, payment_hash };
}
