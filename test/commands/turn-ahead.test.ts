/** A turn that is decided on before it is durable: waited for by what leaves, and its loss told once. */
import { describe, expect, it } from 'vitest';
import { createTurnAhead } from '../../src/commands/turn-ahead.ts';

describe('a turn ahead', () => {
  it('is pending until it is durable, then leaves nothing behind', async () => {
    const ahead = createTurnAhead();
    let durable: () => void = () => undefined;
    ahead.start(new Promise<void>((resolve) => (durable = resolve)), () => expect.unreachable());
    expect(ahead.pending).toBeDefined();
    durable();
    await ahead.settled();
    expect(ahead.pending).toBeUndefined();
    expect(ahead.takeLoss()).toBeUndefined();
  });

  it('that is lost stops whoever waits for it, and is told once', async () => {
    const ahead = createTurnAhead();
    const lost = new Error('the disk is full');
    const told: Error[] = [];
    ahead.start(Promise.reject(lost), (error) => told.push(error));
    await expect(ahead.settled()).rejects.toBe(lost);
    expect(told).toEqual([lost]);
    expect(ahead.takeLoss()).toBe(lost);
    expect(ahead.takeLoss()).toBeUndefined();
    await ahead.settled();
  });
});
