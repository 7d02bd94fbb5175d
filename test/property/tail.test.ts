/** The tail of a log under any story: appends right and wrong, late flushes and transactions, a full disk, a tail that fails, and a power cut at the end. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AppendOutcome, AppendRequest } from '../../src/adapters/store/engine.ts';
import { codeOf, idsOn, quiet, request, Stage, type Id } from '../adapters/store/tail-stage.ts';
import { replaySeed, runs } from '../support/property.ts';

interface Part {
  readonly stream: number;
  readonly events: number;
  /** How far its expected revision is off. */
  readonly off: number;
  /** It follows the append so many before it; 0: none. */
  readonly follows: number;
}

type Step =
  | { readonly kind: 'append'; readonly parts: readonly Part[] }
  | { readonly kind: 'read' | 'flush' | 'answer' | 'time' | 'full' | 'room' | 'little' | 'much' };

interface Story {
  readonly steps: readonly Step[];
  readonly failing: { readonly frame: number; readonly stays: boolean };
  readonly capacity: number;
  readonly end: 'close' | 'power cut';
}

const part: fc.Arbitrary<Part> = fc.record({
  stream: fc.nat(2),
  events: fc.integer({ min: 1, max: 3 }),
  off: fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-1, 1, 5) }),
  follows: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.integer({ min: 1, max: 4 }) }),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('append' as const), parts: fc.array(part, { minLength: 1, maxLength: 3 }) }) },
  { weight: 9, arbitrary: fc.record({ kind: fc.constantFrom('flush', 'flush', 'answer', 'answer', 'time', 'read' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('full', 'room', 'room', 'little', 'much', 'much' as const) }) },
);

const stories: fc.Arbitrary<Story> = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 50 }),
  failing: fc.record({ frame: fc.oneof(fc.constant(Infinity), fc.nat(8)), stays: fc.boolean() }),
  capacity: fc.constantFrom(Infinity, Infinity, 4000, 12_000),
  end: fc.constantFrom('close', 'power cut'),
});

interface Asked {
  readonly request: AppendRequest;
  outcome?: AppendOutcome | 'rejected';
}

/** Plays a story and answers the stage and what was asked on it, in the order of the calls. */
async function play({ steps, failing, capacity, end }: Story): Promise<{ readonly stage: Stage; readonly asked: readonly Asked[] }> {
  const stage = new Stage();
  Object.assign(stage, { failing, capacity });
  const asked: Asked[] = [];
  /** What a caller believes: that everything goes well. */
  const revisions = [-1, -1, -1];

  function ask({ stream, events, off, follows }: Part): Asked {
    const id = asked.length + 1;
    const one: Asked = { request: request(id, `s${stream}`, Math.max(-1, revisions[stream]! + off), events, follows > 0 && follows < id ? [id - follows] : undefined) };
    if (off === 0) revisions[stream]! += events;
    asked.push(one);
    return one;
  }

  async function append(parts: readonly Part[]): Promise<void> {
    const these = parts.map(ask);
    try {
      const outcomes = await stage.append(...these.map((one) => one.request));
      for (const [index, outcome] of outcomes.entries()) these[index]!.outcome = outcome;
    } catch {
      for (const one of these) one.outcome = 'rejected';
    }
    // Whoever hears of a refusal reads again.
    if (these.some(({ outcome }) => !isDone(outcome))) for (const stream of [0, 1, 2]) revisions[stream] = revisionIn(asked, `s${stream}`);
  }

  async function read(): Promise<void> {
    const answered = asked.filter(({ outcome }) => isDone(outcome)).reduce((sum, one) => sum + eventsOf(one), 0);
    const seen = await stage.engine.size().catch(() => Infinity);
    expect(seen, 'a read sees what was answered').toBeGreaterThanOrEqual(answered);
  }

  const run: Readonly<Record<Exclude<Step['kind'], 'append'>, () => void>> = {
    read: () => void read(),
    flush: () => stage.flushes.shift()?.(),
    answer: () => stage.asked.shift()?.(),
    time: () => void vi.advanceTimersByTime(100),
    full: () => (stage.disk.maxEvents = stage.disk.rows.length + 1),
    room: () => (stage.disk.maxEvents = Infinity),
    little: () => (stage.space = 0),
    much: () => (stage.space = Infinity),
  };
  for (const one of steps) {
    if (one.kind === 'append') void append(one.parts);
    else run[one.kind]();
    await quiet();
  }
  if (end === 'close') {
    stage.disk.maxEvents = Infinity;
    const closed = stage.engine.close();
    await stage.settle();
    await closed;
    expect(stage.tailEnd).toBe('remove');
    expect(asked.filter(({ outcome }) => outcome === undefined || outcome === 'rejected')).toEqual([]);
  } else {
    stage.disk.maxEvents = Infinity;
    stage.open();
  }
  return { stage, asked };
}

const isDone = (outcome: Asked['outcome']): boolean => outcome !== undefined && outcome !== 'rejected' && outcome.kind !== 'failed';
const eventsOf = ({ request: { facts } }: Asked): number => facts.length / 2;
const idOf = ({ request: { ticket } }: Asked): Id => ticket!;
/** As it is when all that may still be answered is. */
const revisionIn = (asked: readonly Asked[], stream: string): number =>
  asked.filter((one) => one.request.stream === stream && isDone(one.outcome)).reduce((revision, one) => revision + eventsOf(one), -1);

async function check(story: Story): Promise<void> {
  const { stage, asked } = await play(story);
  const stored = idsOn(stage.disk);
  const order = [...new Set(stored)];
  expect(order, 'the order of the calls').toEqual(order.toSorted((a, b) => a - b));
  for (const one of asked) {
    const count = stored.filter((id) => id === idOf(one)).length;
    const { outcome } = one;
    const code = outcome === undefined || outcome === 'rejected' ? 'unknown' : codeOf(outcome);
    if (isDone(outcome)) expect(count, `append ${idOf(one)} was answered: ${code}`).toBe(eventsOf(one));
    else if (!code.endsWith('unknown')) expect(count, `append ${idOf(one)} was refused: ${code}`).toBe(0);
    else expect([0, eventsOf(one)], `append ${idOf(one)} has no clear answer: whole or not at all`).toContain(count);
    if (count > 0) for (const id of one.request.follows ?? []) expect(stored, `what ${idOf(one)} follows`).toContain(id);
  }
  if (stage.disk.maxEvents === Infinity && story.end === 'close') expect(stage.sealed.map(([id]) => id), 'each told once, in order').toEqual(order);
  for (const [index, [id, position]] of stage.sealed.entries()) {
    expect(stored[position], 'told where it stands').toBe(id);
    expect(position).toBeGreaterThan(stage.sealed[index - 1]?.[1] ?? -1);
  }
  checkModel(story, asked);
}

/** On a disk that is never full and a tail that never fails everything is judged as if one after another. */
function checkModel({ steps, failing }: Story, asked: readonly Asked[]): void {
  if (steps.some(({ kind }) => kind === 'full') || failing.frame < Infinity) return;
  const revisions = new Map<string, number>();
  const lost = new Set<Id>();
  for (const one of asked) {
    const { stream, expected, follows } = one.request;
    const fits = (revisions.get(stream) ?? -1) === expected;
    const expectedCode = follows?.some((id) => lost.has(id)) === true ? 'follows_nothing' : fits ? 'done' : 'revision_conflict';
    if (one.outcome !== undefined && one.outcome !== 'rejected') expect(one.outcome.kind === 'failed' ? codeOf(one.outcome) : 'done', `append ${idOf(one)}`).toBe(expectedCode);
    if (expectedCode === 'done') revisions.set(stream, expected + eventsOf(one));
    else lost.add(idOf(one));
  }
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

describe('a log with a tail', () => {
  it('has every answered append, in the order of the calls, none twice; refused ones never; each is told once', async () => {
    await fc.assert(fc.asyncProperty(stories, check), { numRuns: runs(400), ...(replaySeed === undefined ? {} : { seed: replaySeed }) });
  }, 120_000);
});
