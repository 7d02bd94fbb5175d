/** BOLT 2, "Normal Operation": the states an update passes through until both commitments have it. The idea is Core Lightning's. */

/** An HTLC is added, then removed; each passes five states. A fee update passes the states of an addition. */
export type AddState =
  | 'SENT_ADD_HTLC' | 'SENT_ADD_COMMIT' | 'RCVD_ADD_REVOCATION' | 'RCVD_ADD_ACK_COMMIT' | 'SENT_ADD_ACK_REVOCATION'
  | 'RCVD_ADD_HTLC' | 'RCVD_ADD_COMMIT' | 'SENT_ADD_REVOCATION' | 'SENT_ADD_ACK_COMMIT' | 'RCVD_ADD_ACK_REVOCATION';
export type RemoveState =
  | 'RCVD_REMOVE_HTLC' | 'RCVD_REMOVE_COMMIT' | 'SENT_REMOVE_REVOCATION' | 'SENT_REMOVE_ACK_COMMIT' | 'RCVD_REMOVE_ACK_REVOCATION'
  | 'SENT_REMOVE_HTLC' | 'SENT_REMOVE_COMMIT' | 'RCVD_REMOVE_REVOCATION' | 'RCVD_REMOVE_ACK_COMMIT' | 'SENT_REMOVE_ACK_REVOCATION';
export type HtlcState = AddState | RemoveState;

/** What moves an update: a commitment_signed or a revoke_and_ack, sent or received. */
export type Arrow = 'SENT_COMMIT' | 'RCVD_COMMIT' | 'SENT_REVOCATION' | 'RCVD_REVOCATION';
export type CommitmentOwner = 'local' | 'remote';
export const otherSide = (side: CommitmentOwner): CommitmentOwner => (side === 'local' ? 'remote' : 'local');

const rows = {
  weAdd: ['SENT_ADD_HTLC', 'SENT_ADD_COMMIT', 'RCVD_ADD_REVOCATION', 'RCVD_ADD_ACK_COMMIT', 'SENT_ADD_ACK_REVOCATION'],
  theyRemove: ['RCVD_REMOVE_HTLC', 'RCVD_REMOVE_COMMIT', 'SENT_REMOVE_REVOCATION', 'SENT_REMOVE_ACK_COMMIT', 'RCVD_REMOVE_ACK_REVOCATION'],
  theyAdd: ['RCVD_ADD_HTLC', 'RCVD_ADD_COMMIT', 'SENT_ADD_REVOCATION', 'SENT_ADD_ACK_COMMIT', 'RCVD_ADD_ACK_REVOCATION'],
  weRemove: ['SENT_REMOVE_HTLC', 'SENT_REMOVE_COMMIT', 'RCVD_REMOVE_REVOCATION', 'RCVD_REMOVE_ACK_COMMIT', 'SENT_REMOVE_ACK_REVOCATION'],
} as const satisfies Record<string, readonly HtlcState[]>;

/** The prefix and suffix of an arrow's target say which event fires it. */
function arrowInto(target: HtlcState): Arrow {
  const side = target.startsWith('SENT') ? 'SENT' : 'RCVD';
  return target.endsWith('COMMIT') ? `${side}_COMMIT` : `${side}_REVOCATION`;
}

const steps: Readonly<Record<Arrow, Readonly<Partial<Record<HtlcState, HtlcState>>>>> = (() => {
  const table: Record<Arrow, Partial<Record<HtlcState, HtlcState>>> = { SENT_COMMIT: {}, RCVD_COMMIT: {}, SENT_REVOCATION: {}, RCVD_REVOCATION: {} };
  for (const row of Object.values(rows)) {
    for (let index = 1; index < row.length; index++) {
      const target = row[index] as HtlcState;
      table[arrowInto(target)][row[index - 1] as HtlcState] = target;
    }
  }
  return table;
})();

/** The state after an arrow; the same state when the arrow does not concern it. */
export function step<S extends HtlcState>(state: S, arrow: Arrow): S {
  return (steps[arrow][state] ?? state) as S;
}

/** The state before our last commitment_signed: how the update stands in the peer's commitment that it has not revoked yet. */
export function beforeSentCommit<S extends HtlcState>(state: S): S {
  if (!state.startsWith('SENT_') || !state.endsWith('_COMMIT')) return state;
  const row = Object.values(rows).find((states) => (states as readonly HtlcState[]).includes(state)) as readonly HtlcState[];
  return row[row.indexOf(state) - 1] as S;
}

/** How an update stands in one side's commitment. */
export type Standing = 'not_yet' | 'included' | 'removed';

/** First index of each row at which the change has reached that side's commitment. */
const reaches: Readonly<Record<keyof typeof rows, Readonly<Record<CommitmentOwner, number>>>> = {
  weAdd: { remote: 1, local: 3 },
  theyRemove: { local: 1, remote: 3 },
  theyAdd: { local: 1, remote: 3 },
  weRemove: { remote: 1, local: 3 },
};

const standings: Readonly<Record<CommitmentOwner, Readonly<Record<HtlcState, Standing>>>> = (() => {
  const table = { local: {}, remote: {} } as Record<CommitmentOwner, Record<HtlcState, Standing>>;
  for (const [name, row] of Object.entries(rows) as [keyof typeof rows, readonly HtlcState[]][]) {
    const [before, after]: [Standing, Standing] = name.endsWith('Add') ? ['not_yet', 'included'] : ['included', 'removed'];
    for (const owner of ['local', 'remote'] as const) {
      row.forEach((state, index) => (table[owner][state] = index < reaches[name][owner] ? before : after));
    }
  }
  return table;
})();

export const standing = (state: HtlcState, owner: CommitmentOwner): Standing => standings[owner][state];

/** Neither side can take the addition back. */
export const isIrrevocablyAdded = (state: HtlcState): boolean =>
  state === 'SENT_ADD_ACK_REVOCATION' || state === 'RCVD_ADD_ACK_REVOCATION';

/** Neither side can take the removal back: the HTLC is history. */
export const isIrrevocablyRemoved = (state: HtlcState): boolean =>
  state === 'RCVD_REMOVE_ACK_REVOCATION' || state === 'SENT_REMOVE_ACK_REVOCATION';

/** Proposed, but in nobody's commitment yet: lost with the connection. */
export const isUnsigned = (state: HtlcState): boolean => state.endsWith('_HTLC');

/** Updates that the next commitment_signed of this side would carry. */
export const waitsFor = (state: HtlcState, arrow: 'SENT_COMMIT' | 'RCVD_COMMIT'): boolean => steps[arrow][state] !== undefined;

/** All states in order, for tests and for the glossary. */
export const lifecycleRows: Readonly<Record<string, readonly HtlcState[]>> = rows;
