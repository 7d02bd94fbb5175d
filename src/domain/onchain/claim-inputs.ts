/** BOLT 3's scripts and BOLT 5's witnesses for outputs that one signature of ours takes: how each is spent, and by which key. */
import { NO_DELAY, type Spend } from '../../bolt/03-transactions/claim-tx.ts';
import { commitmentKeys } from '../../bolt/03-transactions/commitment-tx.ts';
import { perCommitmentPoint, type CommitmentKeys } from '../../bolt/03-transactions/keys.ts';
import { anchorScript, offeredHtlcScript, receivedHtlcScript, toLocalScript, toRemoteAnchorScript } from '../../bolt/03-transactions/scripts.ts';
import type { Hex, Point } from '../../bolt/primitives.ts';
import { commitmentParams } from '../channel/commitment-spec.ts';
import type { ResolvingState } from '../channel/spending.ts';
import { revokedSecret } from './commitment-outputs.ts';
import { ownDelay, peersDelay, preimageFor } from './output-lifecycle.ts';
import type { ChainOutput, ClaimInput, ClaimKey } from './types.ts';

/** With anchors every output but the anchors themselves waits for one block. */
const ONE_BLOCK = 1;

/** How a claim spends an output of ours. Undefined where we cannot: no rule, or no preimage yet. HTLCs of our own commitment have second stages instead. */
export function claimInput(state: ResolvingState, output: ChainOutput): ClaimInput | undefined {
  switch (state.spend?.kind) {
    case 'local':
      return fromOurs(state, output);
    case 'remote':
    case 'remote_pending':
    case 'future':
    case 'unknown':
      return fromTheirs(state, output);
    case 'revoked':
      return output.kind === 'to_remote' ? toRemote(state, output) : penalty(state, output);
    default:
      return undefined;
  }
}

function taking({ txid, output_index: index, value }: ChainOutput, key: ClaimKey, spend: Spend, sequence: number, witness_script?: Hex): ClaimInput {
  return { key, input: { txid, index, value, sequence, witness_script, spend } };
}

function fromOurs({ terms, funding, commitments }: ResolvingState, output: ChainOutput): ClaimInput | undefined {
  if (output.kind !== 'to_local' && output.kind !== 'second_stage') return undefined;
  const { number: commitment_number, point } = commitments.local;
  const { revocationpubkey, local_delayedpubkey } = commitmentKeys(commitmentParams({ terms, funding }, 'local'), point);
  const delay = ownDelay(terms);
  return taking(output, { kind: 'to_local', commitment_number }, { branch: 'delayed' }, delay, toLocalScript(revocationpubkey, delay, local_delayedpubkey));
}

/** Our anchor, on whichever commitment: `<sig>` with the funding key. */
export const anchorInput = ({ terms }: Pick<ResolvingState, 'terms'>, output: ChainOutput): ClaimInput =>
  taking(output, { kind: 'anchor' }, { branch: 'signature' }, NO_DELAY, anchorScript(terms.local.keys.funding_pubkey));

function fromTheirs(state: ResolvingState, output: ChainOutput): ClaimInput | undefined {
  if (output.kind === 'to_remote') return toRemote(state, output);
  return output.kind === 'htlc' ? htlcOfTheirs(state, output) : undefined;
}

function toRemote({ terms }: ResolvingState, output: ChainOutput): ClaimInput {
  const pubkey = terms.local.keys.payment_basepoint;
  return terms.format === 'static_remotekey'
    ? taking(output, { kind: 'to_remote' }, { branch: 'p2wpkh', pubkey }, NO_DELAY)
    : taking(output, { kind: 'to_remote' }, { branch: 'signature' }, ONE_BLOCK, toRemoteAnchorScript(pubkey));
}

/** BOLT 5, "HTLC Output Handling: Remote Commitment": by preimage if the peer offered it, after its timeout if we did. */
function htlcOfTheirs(state: ResolvingState, output: ChainOutput): ClaimInput | undefined {
  const per_commitment_point = pointOnChain(state);
  const { direction, cltv_expiry } = output.htlc!;
  const payment_preimage = direction === 'received' ? preimageFor(state, output) : undefined;
  if (per_commitment_point === undefined || (direction === 'received' && payment_preimage === undefined)) return undefined;
  const spend: Spend = payment_preimage === undefined ? { branch: 'htlc_timeout', cltv_expiry } : { branch: 'htlc_preimage', payment_preimage };
  const script = htlcScript(state, output, remoteKeys(state, per_commitment_point));
  return taking(output, { kind: 'htlc', per_commitment_point }, spend, state.terms.format === 'static_remotekey' ? NO_DELAY : ONE_BLOCK, script);
}

/** The script as its owner, the peer, names it: what we offered it has received. */
function htlcScript({ terms: { format } }: ResolvingState, { htlc }: ChainOutput, keys: CommitmentKeys): Hex {
  const { direction, payment_hash, cltv_expiry } = htlc!;
  return direction === 'received' ? offeredHtlcScript(format, keys, payment_hash) : receivedHtlcScript(format, keys, payment_hash, cltv_expiry);
}

const remoteKeys = ({ terms, funding }: ResolvingState, point: Point): CommitmentKeys => commitmentKeys(commitmentParams({ terms, funding }, 'remote'), point);

/** The point of the peer's commitment on chain. */
function pointOnChain({ spend, commitments: { remote } }: ResolvingState): Point | undefined {
  return spend?.kind === 'remote' && remote.awaiting_revocation ? remote.previous_point : remote.point;
}

/** BOLT 5, "Revoked Transaction Close Handling": with the secret that the peer gave up. */
function penalty(state: ResolvingState, output: ChainOutput): ClaimInput | undefined {
  const per_commitment_secret = revokedSecret(state, state.spend!.commitment_number!);
  if (per_commitment_secret === undefined || output.kind.startsWith('anchor')) return undefined;
  const keys = remoteKeys(state, perCommitmentPoint(per_commitment_secret));
  const key = { kind: 'penalty', per_commitment_secret } as const;
  if (output.kind === 'htlc') {
    return taking(output, key, { branch: 'htlc_penalty', revocationpubkey: keys.revocationpubkey }, NO_DELAY, htlcScript(state, output, keys));
  }
  return taking(output, key, { branch: 'penalty' }, NO_DELAY, delayedScript(state, keys));
}

/** Of the peer's `to_local`, and of what its HTLC transactions make. */
const delayedScript = ({ terms }: ResolvingState, keys: CommitmentKeys): Hex => toLocalScript(keys.revocationpubkey, peersDelay(terms), keys.local_delayedpubkey);

/** The script of a second stage's output: what an HTLC transaction of the commitment's owner pays to. */
export function secondStageScript(state: ResolvingState): Hex | undefined {
  const { terms, funding, commitments, spend } = state;
  if (spend?.kind === 'local') {
    const keys = commitmentKeys(commitmentParams({ terms, funding }, 'local'), commitments.local.point);
    return toLocalScript(keys.revocationpubkey, ownDelay(terms), keys.local_delayedpubkey);
  }
  const secret = spend?.kind === 'revoked' ? revokedSecret(state, spend.commitment_number!) : undefined;
  return secret === undefined ? undefined : delayedScript(state, remoteKeys(state, perCommitmentPoint(secret)));
}
