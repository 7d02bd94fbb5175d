/** The tail before an engine: one order for all appends, and what was answered stays, whatever is late, full, failing or cut off. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { codeOf, idsOn, quiet, request, Stage } from './tail-stage.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

describe('an append', () => {
  it('is answered when the tail has it, and told to readers when the engine behind has it', async () => {
    const stage = new Stage();
    const answer = stage.append(request(1, 'a', -1, 2));
    expect(stage.flushes).toHaveLength(1);
    stage.flushes.shift()!();
    const marked = answer.then(() => stage.durable);
    expect(await answer).toEqual([{ kind: 'durable', revision: 1 }]);
    expect(await marked, 'known to be durable before anybody can speak of it').toBe(2);
    expect({ rows: stage.disk.rows.length, sealed: stage.sealed }).toEqual({ rows: 0, sealed: [] });
    vi.advanceTimersByTime(50);
    stage.asked.shift()!();
    await quiet();
    expect({ rows: stage.disk.rows.length, sealed: stage.sealed }).toEqual({ rows: 2, sealed: [[1, 0]] });
  });

  it('that comes while the tail is flushed rides in the next frame, and what waits is taken in by one transaction', async () => {
    const stage = new Stage();
    const answers = [1, 2, 3].map((id) => stage.append(request(id, 'a', id - 2)));
    stage.flushes.shift()!();
    await quiet();
    stage.flushes.shift()!();
    expect((await Promise.all(answers)).flat().map(codeOf)).toEqual(['durable', 'durable', 'durable']);
    expect(stage.frames.map(({ first, requests }) => [first, requests.length])).toEqual([[0, 1], [1, 2]]);
    await stage.settle();
    expect(stage.disk.checkpoints.size).toBe(1);
    expect(stage.durable).toBe(3);
  });

  it('that is not plain goes behind all that was accepted, and what comes after it goes behind it', async () => {
    const stage = new Stage();
    const [first, wrong, next] = [stage.append(request(1, 'a', -1)), stage.append(request(2, 'a', 7)), stage.append(request(3, 'a', 0))];
    await stage.settle();
    expect((await Promise.all([first, wrong, next])).flat().map(codeOf)).toEqual(['durable', 'revision_conflict', 'written']);
    expect(idsOn(stage.disk)).toEqual([1, 3]);
  });

  it('to one stream too many goes behind: only so many revisions are remembered', async () => {
    const stage = new Stage(2);
    const answers = [1, 2, 3, 4, 5, 6, 7].map((id) => stage.append(request(id, `s${id}`, -1)));
    await stage.settle();
    expect((await Promise.all(answers)).flat().map(codeOf)).toEqual(['durable', 'durable', 'durable', 'durable', 'durable', 'written', 'written']);
    expect(idsOn(stage.disk)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    const next = stage.append(request(8, 's1', 0));
    await stage.settle();
    expect((await next).map(codeOf)).toEqual(['durable']);
  });

  it('that was written already is answered so', async () => {
    const stage = new Stage();
    const [first, again] = [stage.append(request(1, 'a', -1)), stage.append(request(1, 'a', -1))];
    await stage.settle();
    expect((await Promise.all([first, again])).flat().map(codeOf)).toEqual(['durable', 'repeated']);
    expect(idsOn(stage.disk)).toEqual([1]);
  });

  it('is never ahead of one in line, whoever asks at that very moment', async () => {
    const stage = new Stage();
    const wait = async () => {
      await stage.engine.size();
      return stage.append(request(4, 'a', 2));
    };
    const answers = [stage.append(request(1, 'a', -1)), stage.append(request(9, 'b', 9)), wait(), stage.append(request(2, 'a', 0)), stage.append(request(3, 'a', 1))];
    await stage.settle();
    expect((await Promise.all(answers)).flat().map(codeOf)).toEqual(['durable', 'revision_conflict', expect.stringMatching('durable|written'), 'written', 'written']);
    expect(idsOn(stage.disk)).toEqual([1, 2, 3, 4]);
  });

  it('of many of which one follows what was not written: that one fails, the others keep their place', async () => {
    const stage = new Stage();
    const lost = stage.append(request(1, 'a', 5));
    const many = stage.append(request(2, 'b', -1), request(3, 'c', -1, 1, [1]), request(4, 'd', -1, 1, [3]), request(5, 'b', 0));
    const after = stage.append(request(6, 'b', 1));
    await stage.settle();
    expect((await lost).map(codeOf)).toEqual(['revision_conflict']);
    expect((await many).map(codeOf)).toEqual(['written', 'follows_nothing', 'follows_nothing', 'written']);
    expect((await after).map(codeOf)).toEqual(['written']);
    expect(idsOn(stage.disk)).toEqual([2, 5, 6]);
    expect(stage.sealed).toEqual([[2, 0], [5, 1], [6, 2]]);
  });

  it('finds the tail at its end: it waits for the engine behind, and the next one begins the tail anew', async () => {
    const stage = new Stage();
    stage.capacity = 2000;
    const answers = [1, 2, 3, 4].map((id) => stage.append(request(id, 'a', id - 2)));
    await stage.settle();
    expect((await Promise.all(answers)).flat().map(codeOf)).toEqual(['durable', 'durable', 'written', 'written']);
    const next = stage.append(request(5, 'a', 3));
    await stage.settle();
    expect((await next).map(codeOf)).toEqual(['durable']);
    expect(idsOn(stage.disk)).toEqual([1, 2, 3, 4, 5]);
  });

  it('goes to the engine behind while there is little room', async () => {
    const stage = new Stage();
    stage.space = 1000;
    const answer = stage.append(request(1, 'a', -1));
    await stage.settle();
    expect((await answer).map(codeOf)).toEqual(['written']);
    expect(stage.frames).toEqual([]);
  });
});

describe('a read', () => {
  it('sees what was answered, and waits for no more than that while others go on writing', async () => {
    const stage = new Stage();
    const first = stage.append(request(1, 'a', -1));
    stage.flushes.shift()!();
    await first;
    void stage.append(request(2, 'a', 0));
    const size = stage.engine.size();
    for (let id = 3; id < 8; id += 1) {
      void stage.append(request(id, 'a', id - 2));
      stage.flushes.shift()!();
      await quiet();
      stage.asked.shift()?.();
      await quiet();
    }
    expect(stage.flushes, 'somebody still writes').toHaveLength(1);
    expect(await size).toBeGreaterThanOrEqual(2);
    await stage.settle();
  });

  it('that was asked after an append which is in line comes after it', async () => {
    const stage = new Stage();
    const [, , size] = [stage.append(request(1, 'a', -1)), stage.append(request(2, 'b', -1), request(3, 'c', 8)), stage.engine.size()];
    await stage.settle();
    expect(await size).toBe(2);
  });
});

describe('a full disk', () => {
  it('keeps what was answered, refuses what is new, and all goes on once there is room', async () => {
    const stage = new Stage();
    stage.disk.maxEvents = 1;
    const answered = stage.append(request(1, 'a', -1), request(2, 'a', 0, 1, [1]));
    await stage.settle();
    expect((await answered).map(codeOf)).toEqual(['durable', 'durable']);
    const refused = [stage.append(request(3, 'a', 1)), stage.append(request(4, 'b', -1, 1, [3]))];
    const read = stage.engine.size().catch((error: unknown) => (error as { code: string }).code);
    await stage.settle();
    expect((await Promise.all(refused)).flat().map(codeOf)).toEqual(['store_full', 'store_full']);
    expect(await read).toBe('store_full');
    stage.disk.maxEvents = 100;
    await stage.settle();
    const next = [stage.append(request(5, 'a', 1)), stage.append(request(6, 'b', -1, 1, [4]))];
    await stage.settle();
    expect((await Promise.all(next)).flat().map(codeOf)).toEqual(['durable', 'follows_nothing']);
    expect(idsOn(stage.disk)).toEqual([1, 2, 5]);
  });

  it('at the end leaves the tail for the next start', async () => {
    const stage = new Stage();
    stage.disk.maxEvents = 0;
    void stage.append(request(1, 'a', -1));
    await stage.settle();
    const closed = stage.engine.close();
    await stage.settle();
    await closed;
    expect(stage.tailEnd).toBe('keep');
    stage.disk.maxEvents = 10;
    stage.open();
    expect(idsOn(stage.disk)).toEqual([1]);
  });
});

describe('an engine behind that fails', () => {
  it('while it takes in ends the log: what was answered is there when it is opened again', async () => {
    const stage = new Stage();
    stage.local = { ...stage.local, append: (requests) => requests.map(() => ({ kind: 'failed', error: { code: 'outcome_unknown', message: 'EIO', detail: {} } })) };
    const answered = stage.append(request(1, 'a', -1));
    const inLine = stage.append(request(2, 'b', 3)).catch((error: unknown) => (error as { code: string }).code);
    await stage.settle();
    expect((await answered).map(codeOf)).toEqual(['durable']);
    expect(await inLine).toBe('store_closed');
    await expect(stage.append(request(3, 'a', 0))).rejects.toMatchObject({ code: 'store_closed', message: expect.stringContaining('EIO') });
    await expect(stage.engine.size()).rejects.toMatchObject({ code: 'store_closed' });
    await stage.engine.close();
    expect(stage.tailEnd).toBe('keep');
    stage.open();
    expect(idsOn(stage.disk)).toEqual([1]);
  });

  it('without telling what it wrote ends the use of the tail: positions are no longer known', async () => {
    const stage = new Stage();
    const { local } = stage;
    // It writes, and says that it does not know.
    stage.local = { ...local, append: (requests) => local.append(requests).map(() => ({ kind: 'failed', error: { code: 'outcome_unknown', message: 'EIO', detail: {} } })) };
    stage.space = 0;
    const unknown = stage.append(request(1, 'a', -1));
    await stage.settle();
    expect((await unknown).map(codeOf)).toEqual(['outcome_unknown']);
    stage.local = local;
    stage.space = Infinity;
    const next = stage.append(request(2, 'b', -1));
    await stage.settle();
    expect((await next).map(codeOf)).toEqual(['written']);
    expect(idsOn(stage.disk)).toEqual([1, 2]);
  });
});

describe('a tail that fails', () => {
  it('is not used again; the engine behind takes its appends before all that came after them', async () => {
    const stage = new Stage();
    stage.failing = { frame: 1, stays: false };
    const answers = [1, 2, 3].map((id) => stage.append(request(id, 'a', id - 2)));
    answers.push(stage.append(request(4, 'a', 2), request(5, 'b', 5)), stage.append(request(6, 'a', 3)));
    await stage.settle();
    expect((await Promise.all(answers)).flat().map(codeOf)).toEqual(['durable', 'written', 'written', 'written', 'revision_conflict', 'written']);
    expect(idsOn(stage.disk)).toEqual([1, 2, 3, 4, 6]);
    expect(stage.sealed.map(([id]) => id)).toEqual([1, 2, 3, 4, 6]);
  });

  it('may hold the frame all the same: that nothing was written is never said of it', async () => {
    const stage = new Stage();
    stage.failing = { frame: 0, stays: true };
    stage.disk.maxEvents = 0;
    const answer = stage.append(request(1, 'a', -1));
    await stage.settle();
    expect((await answer).map(codeOf)).toEqual(['outcome_unknown']);
    stage.disk.maxEvents = 10;
    stage.open();
    expect(idsOn(stage.disk)).toEqual([1]);
  });
});

describe('the end', () => {
  it('takes everything in and removes the tail', async () => {
    const stage = new Stage();
    const answer = stage.append(request(1, 'a', -1));
    const closed = stage.engine.close();
    await stage.settle();
    await closed;
    expect((await answer).map(codeOf)).toEqual(['durable']);
    expect({ tail: stage.tailEnd, ids: idsOn(stage.disk) }).toEqual({ tail: 'remove', ids: [1] });
    await expect(stage.append(request(2, 'a', 0))).rejects.toMatchObject({ code: 'store_closed' });
  });

  it('by a kill answers nobody who waits for the tail or in line, and keeps the tail', async () => {
    const stage = new Stage();
    const answers = [stage.append(request(1, 'a', -1)), stage.append(request(2, 'a', 0)), stage.append(request(3, 'a', 9)), stage.engine.size()];
    const ends = Promise.allSettled(answers);
    const killed = stage.engine.kill();
    await stage.settle();
    await killed;
    expect((await ends).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected']);
    expect(stage.tailEnd).toBe('keep');
    stage.open();
    expect(idsOn(stage.disk)).toEqual([1]);
  });
});
