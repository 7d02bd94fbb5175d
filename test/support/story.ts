/** Given these facts, when this is asked, then these facts follow: tests of deciders read as stories. */
import { expect } from 'vitest';
import type { Decider, Refusal } from '../../src/domain/decider.ts';

export interface Story<C, E> {
  when(command: C): Ending<C, E>;
}

export interface Ending<C, E> {
  /** Exactly these facts. */
  then(...events: readonly E[]): Story<C, E>;
  /** Facts of these types, with whatever in them. */
  thenTypes(...types: readonly string[]): Story<C, E>;
  thenNothing(): Story<C, E>;
  thenRefused(code: string): Refusal;
  /** What was decided, for a closer look. */
  readonly events: readonly E[];
}

/** Starts from facts; each `then` goes on from what was decided. */
export function given<S, C, E extends { readonly type: string }>(decider: Decider<S, C, E>, ...facts: readonly E[]): Story<C, E> {
  const state = facts.reduce((current, event) => decider.evolve(current, event), decider.initial);
  return {
    when(command) {
      const decision = decider.decide(command, state);
      const events = 'accepted' in decision ? decision.accepted : [];
      const goOn = () => given(decider, ...facts, ...events);
      return {
        events,
        // oxlint-disable-next-line no-thenable -- nobody awaits a story
        then(...expected) {
          expect(decision).toEqual({ accepted: expected });
          return goOn();
        },
        thenTypes(...types) {
          expect('refused' in decision ? decision.refused : events.map((event) => event.type)).toEqual(types);
          return goOn();
        },
        thenNothing() {
          expect(decision).toEqual({ accepted: [] });
          return goOn();
        },
        thenRefused(code) {
          expect(decision).toMatchObject({ refused: { code } });
          return (decision as { refused: Refusal }).refused;
        },
      };
    },
  };
}
