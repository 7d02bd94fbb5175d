/** Whether the chain can be watched: silence and falling behind are noticed, said once, and over when they are over. */
import { beforeEach, describe, expect, it } from 'vitest';
import { createChainContact, type ChainContact } from '../../../src/commands/onchain/chain-contact.ts';

let now: number;
let tip: number | Error;
let height: number;
let log: string[];
let contact: ChainContact;

beforeEach(() => {
  [now, tip, height, log] = [1_000_000, 100, 100, []];
  contact = createChainContact({
    chain: { tip: async () => { if (tip instanceof Error) throw tip; return { height: tip, block_hash: '00'.repeat(32) as never }; } },
    height: () => height, now: () => now, log: (line) => log.push(line),
  });
});

describe('a chain', () => {
  it('that answers is no trouble', async () => {
    await contact.look();
    expect([contact.trouble(), contact.tip]).toEqual([undefined, 100]);
  });

  it('that is silent for more than two hours is', async () => {
    await contact.look();
    tip = new Error('connection refused');
    now += 7200;
    await contact.look();
    expect(contact.trouble()).toBeUndefined();
    now += 1;
    expect(contact.trouble()).toEqual({ code: 'chain_silent', silent_seconds: 7201, limit_seconds: 7200 });
    await contact.look();
    await contact.look();
    tip = 101;
    await contact.look();
    expect(contact.trouble()).toBeUndefined();
    expect(log).toEqual([
      'the chain has not answered for 7201 s, at most 7200 are borne: no new payment is taken until that is over',
      'the chain can be watched again: payments are taken',
    ]);
  });

  it('that our channels are more than six blocks behind is', async () => {
    tip = 106;
    await contact.look();
    expect(contact.trouble()).toBeUndefined();
    tip = 107;
    await contact.look();
    expect(contact.trouble()).toEqual({ code: 'chain_behind', height: 100, tip: 107, limit_blocks: 6 });
    height = 101;
    expect(contact.trouble()).toBeUndefined();
  });
});
