/** BOLT 5: which outputs the commitment on chain has. Ours and the peer's are built again from the state; a revoked one from its old spec. */
import { buildCommitment, type Commitment, type CommitmentOutput, type CommitmentSpec } from '../../bolt/03-transactions/commitment-tx.ts';
import { perCommitmentPoint } from '../../bolt/03-transactions/keys.ts';
import { lookupSecret, secretIndex } from '../../bolt/03-transactions/per-commitment-secret.ts';
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { TxOutput } from '../../bolt/03-transactions/tx.ts';
import { msat, type Hex32, type Point } from '../../bolt/primitives.ts';
import type { CommitmentOutputFact, OnchainEvent } from '../../events/channel/onchain.ts';
import { commitmentParams, specOnChain } from '../channel/commitment-spec.ts';
import type { ResolvingState } from '../channel/spending.ts';
import type { EstablishedState, FundingSpend } from '../channel/state.ts';
import { chunks } from './chunks.ts';

type OutputsFound = Extract<OnchainEvent, { type: 'CommitmentOutputsFound' }>;

/** An entry of the log has a bound, and so has each of these facts. */
const OUTPUTS_PER_FACT = 100;

/** The facts of the outputs of `state.spend`; none for a close that is no commitment. */
export function commitmentOutputsFound(state: ResolvingState, spend: FundingSpend, revoked_spec?: CommitmentSpec): readonly OutputsFound[] {
  const outputs = outputsOf(state, spend, revoked_spec);
  return chunks(outputs, OUTPUTS_PER_FACT).map((piece) => ({ type: 'CommitmentOutputsFound', txid: spend.txid, outputs: [...piece] }));
}

function outputsOf(state: ResolvingState, spend: FundingSpend, revoked_spec: CommitmentSpec | undefined): readonly CommitmentOutputFact[] {
  const spec = specOf(state, spend, revoked_spec);
  if (spec === undefined) return [];
  const owner = spend.kind === 'local' ? 'local' : 'remote';
  const commitment = buildCommitment(commitmentParams(state, owner), spec);
  const facts = commitment.outputs.map((output, index) => factOf(output, index, owner));
  return commitment.txid === spend.txid ? facts : matching(parseTx(spend.transaction).outputs, commitment, owner);
}

function specOf(state: ResolvingState, { kind, commitment_number }: FundingSpend, revoked_spec: CommitmentSpec | undefined): CommitmentSpec | undefined {
  switch (kind) {
    case 'revoked':
      return revoked_spec ?? unknownSpec(state, commitment_number!, revokedPoint(state, commitment_number!));
    // Whatever it is: our own main output of the peer's commitments has the same script in all of them.
    case 'future':
    case 'unknown':
      return unknownSpec(state, commitment_number ?? 0n, state.commitments.remote.point);
    default:
      return specOnChain(state, kind);
  }
}

/** Enough to know the main outputs by their scripts: of a commitment whose HTLCs we cannot tell. */
function unknownSpec({ terms }: EstablishedState, commitment_number: bigint, per_commitment_point: Point | undefined): CommitmentSpec | undefined {
  if (per_commitment_point === undefined) return undefined;
  const half = msat((terms.funding_satoshis * 1000n) / 2n);
  return { commitment_number, feerate_per_kw: 0, owner_msat: half, other_msat: half, htlcs: [], per_commitment_point };
}

/** The secret that the peer gave up for a commitment. */
export const revokedSecret = ({ commitments }: EstablishedState, commitment_number: bigint): Hex32 | undefined =>
  lookupSecret(commitments.remote.secrets, secretIndex(commitment_number));

function revokedPoint(state: EstablishedState, commitment_number: bigint): Point | undefined {
  const secret = revokedSecret(state, commitment_number);
  return secret === undefined ? undefined : perCommitmentPoint(secret);
}

/** The commitment of the chain is not the one we built: what carries a script of it is the same all the same. */
function matching(found: readonly TxOutput[], commitment: Commitment, owner: 'local' | 'remote'): readonly CommitmentOutputFact[] {
  return found.flatMap(({ script_pubkey, value }, index) => {
    const known = commitment.outputs.find((output) => output.script_pubkey === script_pubkey && output.htlc === undefined);
    return known === undefined ? [] : [factOf({ ...known, value }, index, owner)];
  });
}

function factOf({ kind, value, htlc }: CommitmentOutput, output_index: number, owner: 'local' | 'remote'): CommitmentOutputFact {
  if (htlc === undefined) return { output_index, value, kind };
  const { id: htlc_id, amount_msat, payment_hash, cltv_expiry } = htlc;
  const direction = (htlc.direction === 'offered') === (owner === 'local') ? 'offered' : 'received';
  return { output_index, value, kind, htlc: { direction, htlc_id, amount_msat, payment_hash, cltv_expiry } };
}

/** Every output of the commitment is known: none can hold an HTLC that we do not see. */
export function allOutputsKnown({ onchain, spend }: ResolvingState): boolean {
  if (spend === undefined || spend.kind === 'mutual') return true;
  const known = onchain?.outputs.filter(({ txid }) => txid === spend.txid).length ?? 0;
  return known === parseTx(spend.transaction).outputs.length;
}
