/** BOLT 2, "Normal Operation" and "Message Retransmission": two peers, any interleaving, and they never disagree. */
import fc from 'fast-check';
import { afterAll, describe, it } from 'vitest';
import { beginning, life, live, repeatably } from '../support/channel-simulation.ts';
import { runs } from '../support/property.ts';

describe('two peers', () => {
  const proven = { lives: 0, commitments: 0, restarts: 0 };

  it('agree on every commitment and lose no HTLC, whatever is offered, resolved, delivered, cut, restarted and closed, in any order', () => {
    fc.assert(fc.property(beginning, life, (name, steps) => {
      const { commitmentsAgreed, restarts } = live(name, steps);
      proven.lives++;
      proven.commitments += commitmentsAgreed;
      proven.restarts += restarts;
    }), repeatably(runs(300, 2_000)));
  });

  afterAll(() => console.log(`htlc-simulation: ${proven.lives} lives, ${proven.commitments} commitments agreed on, ${proven.restarts} restarts`));
});
