/** BOLT 5 for the auditor: outputs on chain are those of the commitment that was signed, and each claim of ours is the transaction it says it is. */
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import { claimTransaction } from '../../domain/onchain/claims.ts';
import type { ResolvingState } from '../../domain/channel/spending.ts';
import type { ChannelState, EstablishedState } from '../../domain/channel/state.ts';
import type { ChainOutput } from '../../domain/onchain/types.ts';
import type { CommitmentOutputFact, OnchainEvent } from '../../events/channel/onchain.ts';
import { confirmedCommitment } from '../spend-fees.ts';
import { checkPreimage } from './commitments.ts';
import { CheckFailed, mustEqual, type Tally } from './report.ts';

type EventOf<T extends OnchainEvent['type']> = Extract<OnchainEvent, { type: T }>;

/** Each output is worth what the transaction pays, and holds what the rebuilt commitment has there. */
export function checkOutputsFound(state: ChannelState, { txid, outputs }: EventOf<'CommitmentOutputsFound'>): void {
  const { spend, ...here } = resolving(state, 'CommitmentOutputsFound');
  mustEqual('outputs_txid', 'commitment whose outputs were found', spend?.txid, txid);
  const paid = parseTx(spend!.transaction).outputs;
  const built = confirmedCommitment(here as EstablishedState, spend!);
  for (const output of outputs) {
    const name = `output ${txid}:${output.output_index}`;
    mustEqual('output_value', `value of ${name}, sat`, paid[output.output_index]?.value, output.value);
    if (built !== undefined) mustEqual('output_kind', `what ${name} is`, describe(builtFact(built, output.output_index)), describe(output));
  }
}

function builtFact({ owner, built }: NonNullable<ReturnType<typeof confirmedCommitment>>, index: number): Pick<CommitmentOutputFact, 'kind' | 'htlc'> {
  const { kind, htlc } = built.outputs[index]!;
  if (htlc === undefined) return { kind };
  const { id: htlc_id, amount_msat, payment_hash, cltv_expiry } = htlc;
  const direction = (htlc.direction === 'offered') === (owner === 'local') ? 'offered' : 'received';
  return { kind, htlc: { direction, htlc_id, amount_msat, payment_hash, cltv_expiry } };
}

const describe = ({ kind, htlc }: Pick<CommitmentOutputFact, 'kind' | 'htlc'>): string =>
  htlc === undefined ? kind : `${kind}: ${htlc.direction} ${htlc.htlc_id}, ${htlc.amount_msat} msat until ${htlc.cltv_expiry}, ${htlc.payment_hash}`;

/** The claim's transaction, derived again from the state: the same txid and fee, of inputs worth what they are. */
export function checkClaim(state: ChannelState, event: EventOf<'ClaimStarted'>, tally: Tally): void {
  const here = resolving(state, event.type);
  for (const input of event.inputs) {
    const known = watched(here, input);
    if (known !== undefined) mustEqual('claim_value', `value of the claimed ${input.txid}:${input.output_index}, sat`, known.value, input.value);
  }
  const built = claimTransaction(here, event);
  if (built === undefined) throw new CheckFailed('claim_inputs', `inputs of the ${event.kind} ${event.claim_txid}`, 'outputs of this channel that are ours to claim', event.inputs.map(({ txid, output_index }) => `${txid}:${output_index}`).join(' '));
  mustEqual('claim_txid', `txid of the ${event.kind}`, built.txid, event.claim_txid);
  mustEqual('claim_fee', `fee of the ${event.kind} ${event.claim_txid}, sat`, built.fee_satoshis, event.fee_satoshis);
  tally.transactions_verified += 1;
}

/** What is spent was there; what we spent, we had claimed; a preimage opens the HTLC it stands with. */
export function checkOutputSpent(state: ChannelState, event: EventOf<'OutputSpent'>, tally: Tally): void {
  const here = resolving(state, event.type);
  const output = watched(here, event);
  if (output === undefined) throw new CheckFailed('unknown_output', 'the spent output is one of this channel', 'one that was found', `${event.txid}:${event.output_index}`);
  const ours = here.onchain?.claims.some(({ claim_txid }) => claim_txid === event.spending_txid) ?? false;
  mustEqual('spent_by', `who spent ${event.txid}:${event.output_index}`, ours ? 'local' : 'remote', event.by);
  if (event.payment_preimage !== undefined && output.htlc !== undefined) checkPreimage(output.htlc.payment_hash, event.payment_preimage, tally);
}

function watched({ onchain }: ResolvingState, at: { readonly txid: string; readonly output_index: number }): ChainOutput | undefined {
  return onchain?.outputs.find(({ txid, output_index }) => txid === at.txid && output_index === at.output_index);
}

function resolving(state: ChannelState, what: string): ResolvingState {
  if (state.phase !== 'resolving') throw new CheckFailed('out_of_place', `phase in which ${what} can happen`, 'resolving', state.phase);
  return state;
}
