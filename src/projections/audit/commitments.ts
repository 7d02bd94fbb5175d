/** BOLT 2 and 3 for the auditor: each commitment derived again, each received signature and each revealed secret checked. */
import { buildCommitment, verifyCommitment, type Commitment } from '../../bolt/03-transactions/commitment-tx.ts';
import { perCommitmentPoint } from '../../bolt/03-transactions/keys.ts';
import { insertSecret, secretIndex } from '../../bolt/03-transactions/per-commitment-secret.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, type Hex32, type Signature } from '../../bolt/primitives.ts';
import { commitmentParams, commitmentSpec } from '../../domain/channel/commitment-spec.ts';
import type { CommitmentOwner } from '../../domain/channel/htlc-lifecycle.ts';
import type { EstablishedState } from '../../domain/channel/state.ts';
import { CheckFailed, mustEqual, type Tally } from './report.ts';

/** The newest commitment of one side, derived from the replayed state alone. */
export function deriveCommitment(state: EstablishedState, owner: CommitmentOwner): Commitment {
  return buildCommitment(commitmentParams(state, owner), commitmentSpec(state, owner));
}

/** Our newest commitment, with the peer's signature on it and on each of its HTLC transactions. */
export function checkLocalCommitment(state: EstablishedState, signature: Signature, htlc_signatures: readonly Signature[], tally: Tally): Commitment {
  const params = commitmentParams(state, 'local');
  const spec = commitmentSpec(state, 'local');
  const commitment = buildCommitment(params, spec);
  const check = verifyCommitment(commitment, params, spec, signature, htlc_signatures);
  if (!check.ok) {
    const name = `our commitment ${spec.commitment_number}, txid ${commitment.txid}`;
    if (check.reason === 'htlc_signature_count') throw new CheckFailed(check.reason, `HTLC signatures on ${name}`, commitment.htlcs.length, htlc_signatures.length);
    const what = check.reason === 'htlc_signature' ? `signature on HTLC transaction ${check.index} of ${name}` : `signature on ${name}`;
    throw new CheckFailed(`wrong_${check.reason}`, what, 'the peer\'s signature', check.reason === 'htlc_signature' ? htlc_signatures[check.index] : signature);
  }
  tally.commitments_verified += 1;
  tally.signatures_verified += 1 + htlc_signatures.length;
  return commitment;
}

/** BOLT 2, "Completing the Transition to the Updated State": the secret is the one behind the revoked commitment's point, and fits the older ones. */
export function checkRevocation({ commitments: { remote } }: EstablishedState, commitment_number: bigint, secret: Hex32, tally: Tally): void {
  mustEqual('unexpected_revocation', 'a revoke_and_ack answers a commitment_signed of ours', true, remote.awaiting_revocation);
  mustEqual('revocation_number', 'the peer revokes the commitment before its newest', remote.number - 1n, commitment_number);
  mustEqual('wrong_secret', `point of the secret of the peer's commitment ${commitment_number}`, remote.previous_point, perCommitmentPoint(secret));
  if (insertSecret(remote.secrets, secretIndex(commitment_number), secret) === undefined) {
    throw new CheckFailed('foreign_secret', `secret of the peer's commitment ${commitment_number}`, 'one that derives the older secrets', secret);
  }
  tally.revocations_verified += 1;
}

/** A preimage settles the HTLC it belongs to. */
export function checkPreimage(payment_hash: Hex32, payment_preimage: Hex32, tally: Tally): void {
  mustEqual('wrong_preimage', `SHA-256 of the preimage ${payment_preimage}`, payment_hash, crypto().sha256Hex(fromHex(payment_preimage)) as Hex32);
  tally.preimages_verified += 1;
}
