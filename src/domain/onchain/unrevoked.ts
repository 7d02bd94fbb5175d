/** Commitments that may still come to the chain without a breach: ours, and one or two of the peer's. */
import { buildCommitment, type Commitment } from '../../bolt/03-transactions/commitment-tx.ts';
import { commitmentParams, commitmentSpec, previousRemoteSpec } from '../channel/commitment-spec.ts';
import type { CommitmentOwner } from '../channel/htlc-lifecycle.ts';
import type { Commitments, EstablishedState } from '../channel/state.ts';
import type { ChainOutput } from './types.ts';

/** A commitment that may come to the chain, as its owner sees it. */
export interface Unrevoked {
  readonly owner: CommitmentOwner;
  readonly commitment: Commitment;
}

/** Ours, the peer's newest, and the peer's one before while that is not revoked. Built once for what they are built from. */
export function unrevokedCommitments(state: EstablishedState): readonly Unrevoked[] {
  const known = built.get(state.commitments) ?? buildAll(state);
  built.set(state.commitments, known);
  return known;
}

/** Our own newest commitment. */
export const ourCommitment = (state: EstablishedState): Commitment => unrevokedCommitments(state)[0]!.commitment;

/** A failed channel asks for them with every block and every claim; its updates have ended. */
const built = new WeakMap<Commitments, readonly Unrevoked[]>();

function buildAll(state: EstablishedState): readonly Unrevoked[] {
  const theirs = commitmentParams(state, 'remote');
  const older = state.commitments.remote.awaiting_revocation ? [previousRemoteSpec(state.commitments)] : [];
  return [
    { owner: 'local', commitment: buildCommitment(commitmentParams(state, 'local'), commitmentSpec(state, 'local')) },
    ...[commitmentSpec(state, 'remote'), ...older].map((spec): Unrevoked => ({ owner: 'remote', commitment: buildCommitment(theirs, spec) })),
  ];
}

/** Our anchor on a commitment that no block has yet. */
export function anchorOn({ owner, commitment: { txid, outputs } }: Unrevoked): ChainOutput | undefined {
  const kind = owner === 'local' ? 'anchor_owner' : 'anchor_other';
  const output_index = outputs.findIndex((output) => output.kind === kind);
  return output_index < 0 ? undefined : { txid, output_index, value: outputs[output_index]!.value, kind, block_height: 0 };
}
