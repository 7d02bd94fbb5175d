/** The shape of every stream's rules: commands in, facts out, state folded from facts. Pure. */

/** A refusal changes nothing; it is data, with both values in `detail`. */
export interface Refusal {
  readonly code: string;
  /** Who hears of it: the caller, the peer by `warning`, or the peer by `error` and a failed connection. */
  readonly answer: 'to_caller' | 'warning' | 'disconnect';
  readonly detail: Readonly<Record<string, unknown>>;
}

/** A bad input that changes our state is an event (ChannelFailed). A refusal changes nothing. `accepted: []` = nothing to do. */
export type Decision<E> = { readonly accepted: readonly E[] } | { readonly refused: Refusal };

/** `decide` may verify signatures but never makes one; `evolve` does neither: it trusts the fact. */
export interface Decider<S, C, E> {
  readonly initial: S;
  decide(command: C, state: S): Decision<E>;
  evolve(state: S, event: E): S;
}

export const accept = <E>(...accepted: readonly E[]): Decision<E> => ({ accepted });

export function refuse(code: string, detail: Refusal['detail'] = {}, answer: Refusal['answer'] = 'to_caller'): { readonly refused: Refusal } {
  return { refused: { code, answer, detail } };
}

/** A refusal in one sentence: code, then each value by name. */
export function describeRefusal(refusal: Refusal): string {
  const values = Object.entries(refusal.detail).map(([name, value]) => `${name} ${String(value)}`);
  return values.length === 0 ? refusal.code : `${refusal.code}: ${values.join(', ')}`;
}

/** Folds events over a state. */
export function evolveAll<S, E>(decider: Pick<Decider<S, never, E>, 'evolve'>, state: S, events: readonly E[]): S {
  return events.reduce((current, event) => decider.evolve(current, event), state);
}

/** For a switch that names every case. */
export function never(value: never): never {
  throw new Error(`a case is missing: ${JSON.stringify(value)}`);
}
