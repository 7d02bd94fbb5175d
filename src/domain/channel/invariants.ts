/** What holds after every event of every channel; a breach is a bug of ours or a forged log, and stops the stream. */
import { balances, capacityMsat, commitmentSpec, nextView } from './commitment-spec.ts';
import { isEstablished, type ChannelState, type EstablishedState } from './state.ts';

export class InvariantBroken extends Error {
  readonly code = 'invariant_broken';
  readonly rule: string;
  constructor(rule: string, expected: unknown, got: unknown) {
    super(`${rule}: expected ${String(expected)}, got ${String(got)}`);
    this.name = 'InvariantBroken';
    this.rule = rule;
  }
}

/** Throws InvariantBroken, naming the rule and both values. */
export function assertInvariants(state: ChannelState): void {
  if (!isEstablished(state)) return;
  moneyIsConserved(state);
  commitmentsAddUp(state);
  idsAreNew(state);
}

/** Local, remote and every HTLC sum to the funding, to the msat. */
function moneyIsConserved(state: EstablishedState): void {
  const { local_msat, remote_msat, offered_msat, received_msat } = balances(state);
  const total = local_msat + remote_msat + offered_msat + received_msat;
  if (total !== capacityMsat(state.terms)) throw new InvariantBroken('msat conserved', capacityMsat(state.terms), total);
}

/** Each side's commitment, now and next, holds the whole funding and no negative balance. */
function commitmentsAddUp(state: EstablishedState): void {
  for (const owner of ['local', 'remote'] as const) {
    const { owner_msat, other_msat, htlcs } = commitmentSpec(state, owner);
    const total = htlcs.reduce((sum, htlc) => sum + htlc.amount_msat, owner_msat + other_msat);
    if (total !== capacityMsat(state.terms)) throw new InvariantBroken(`${owner} commitment adds up`, capacityMsat(state.terms), total);
    const next = nextView(state.commitments, owner);
    if (next.local_msat < 0n || next.remote_msat < 0n) {
      throw new InvariantBroken(`${owner} next commitment has no negative balance`, '>= 0', `${next.local_msat} / ${next.remote_msat}`);
    }
  }
}

function idsAreNew({ commitments }: EstablishedState): void {
  for (const htlc of commitments.htlcs) {
    const next = htlc.direction === 'offered' ? commitments.next_offered_id : commitments.next_received_id;
    if (htlc.id >= next) throw new InvariantBroken(`${htlc.direction} HTLC ids stay below the next`, `< ${next}`, htlc.id);
  }
}
