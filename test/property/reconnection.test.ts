/** BOLT 2, "Message Retransmission": a connection may end after any byte of either direction, and with the power of either side; the channel comes to the same end. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { runs } from '../support/property.ts';
import type { Cut, CutOptions } from '../support/simulation/cut-network.ts';
import { busyLife, CUT_PAIR, liveStory, opening, type Lived } from '../support/simulation/cut-stories.ts';
import { CRASH_POINTS, type Fault } from '../support/simulation/faults.ts';
import type { Frame, Limits } from '../support/simulation/framed-wire.ts';
import type { OpenedRow } from '../support/simulation/network.ts';
import { installVirtualTime, type VirtualTime } from '../support/simulation/virtual-time.ts';

/** For every cut, on a busy machine, ms. */
const LONG = 3_600_000;

let time: VirtualTime;
beforeAll(async () => {
  await chooseCryptoBackend();
  time = installVirtualTime();
});
afterAll(() => time.uninstall());

describe.each([opening, busyLife])('$name', (story) => {
  let row: OpenedRow;
  let whole: Lived;
  /** How far the other direction comes when one ends after its n-th frame: [alice to bob, bob to alice]. */
  const reach: [number[], number[]] = [[], []];
  const told = { lived: 0, alike: 0, pairs: 0 };

  beforeAll(async () => {
    row = await story.begin(time);
    whole = await liveStory(story, row);
  });
  afterAll(() => console.log(`reconnection, ${story.name}: ${told.lived} lives, ${told.alike} of them with the very books of the life without a cut; ${told.pairs} pairs of cuts`));

  /** Lives it with what goes wrong. What fails is lived again: a plan is the same each time, and the second life tells what the first one did. */
  async function live(what: string, options: CutOptions): Promise<Lived> {
    try {
      const lived = await liveStory(story, row, options);
      told.lived++;
      if (JSON.stringify(lived.books, asText) === JSON.stringify(whole.books, asText)) told.alike++;
      return lived;
    } catch (error) {
      const lines: string[] = [];
      await liveStory(story, row, { ...options, trace: (line) => void lines.push(line) }).catch(() => undefined);
      throw new Error(`${what}: ${(error as Error).message}\n${lines.slice(-80).join('\n')}`, { cause: error });
    }
  }

  /** Where nobody loses power, nothing at all may differ in the end. */
  async function cut(plan: Cut): Promise<Lived> {
    const { limits, when, dies } = plan;
    const lived = await live(`cut ${when} after ${JSON.stringify(limits)} bytes${dies === undefined ? '' : `, ${dies} loses power`}`, { cuts: [plan] });
    if (when === 'at_rest' && dies === undefined) expect(lived.books).toEqual(whole.books);
    return lived;
  }

  const ends = (direction: 0 | 1): readonly number[] => [0, ...whole.frames()[direction].map(({ end }) => end)];
  const limitsOf = (direction: 0 | 1, bytes: number): Limits => (direction === 0 ? [bytes, Infinity] : [Infinity, bytes]);

  it.each([['alice to bob', 0], ['bob to alice', 1]] as const)('cut after each frame from %s, it ends the same', async (_way, direction) => {
    for (const [sent, end] of ends(direction).entries()) {
      const lived = await cut({ limits: limitsOf(direction, end), when: 'at_rest' });
      const passed = lived.frames();
      // After the last frame there is nothing left to lose.
      expect(lived.strikes === 1 || sent === ends(direction).length - 1).toBe(true);
      expect(passed[direction].length).toBe(sent);
      reach[direction][sent] = passed[1 - direction]!.length;
    }
  }, LONG);

  it('cut after any frame of one direction and any of the other that can go with it, it ends the same', async () => {
    const [left, right] = [ends(0), ends(1)];
    const pairs = left.flatMap((_, sent) => right.flatMap((__, heard) => (heard < reach[0][sent]! && sent < reach[1][heard]! ? [[sent, heard] as const] : [])));
    told.pairs = pairs.length;
    for (const [sent, heard] of some(pairs, runs(12, 24))) await cut({ limits: [left[sent]!, right[heard]!], when: 'at_rest' });
  }, LONG);

  it('cut in the very moment that a frame finds no room, with and without the power of either side, it loses nothing', async () => {
    const plans = ([0, 1] as const).flatMap((direction) => ends(direction).flatMap((end) =>
      [undefined, ...CUT_PAIR].map((dies): Cut => ({ limits: limitsOf(direction, end), when: 'at_once', ...(dies === undefined ? {} : { dies }) }))));
    for (const plan of some(plans, runs(36, 60))) await cut(plan);
  }, LONG);

  it('cut when nothing moves any more, with the power of either side, it loses nothing', async () => {
    const plans = ([0, 1] as const).flatMap((direction) => ends(direction).flatMap((end) => CUT_PAIR.map((dies): Cut => ({ limits: limitsOf(direction, end), when: 'at_rest', dies }))));
    for (const plan of some(plans, runs(24, 40))) await cut(plan);
  }, LONG);

  it('killed at any of its appends, at any point of it, either side loses nothing', async () => {
    const crashes = CUT_PAIR.flatMap((node) => Array.from({ length: whole.appends(node) }, (_, index) => index + 1).flatMap((append) =>
      CRASH_POINTS.map((point): Fault => ({ kind: 'crash', node, append, point, rewind: false }))));
    for (const fault of some(crashes, runs(24, 30))) await live(`killed: ${JSON.stringify(fault)}`, { faults: [fault] });
  }, LONG);

  it('cut inside a frame, it ends as if cut before it', async () => {
    for (const direction of [0, 1] as const) {
      const frames = whole.frames()[direction];
      const kinds = frames.filter(({ type }, index) => frames.findIndex((other) => other.type === type) === index);
      for (const [index, frame] of some(kinds.map((kind) => [frames.indexOf(kind), kind] as const), runs(3, 3))) {
        const start = index === 0 ? 0 : frames[index - 1]!.end;
        for (const bytes of insides(start, frame)) {
          const lived = await cut({ limits: limitsOf(direction, bytes), when: 'at_rest' });
          expect(lived.frames()[direction]).toEqual(frames.slice(0, index));
        }
      }
    }
  }, LONG);
});

/** Its first byte, its sealed length and half of its body, and all but its last byte. */
const insides = (start: number, { end }: Frame): readonly number[] => [start + 1, start + Math.floor((18 + end - start) / 2), end - 1];

/** At most so many, spread over all; `FC_RUNS=100000` takes every one. */
function some<T>(all: readonly T[], most: number): readonly T[] {
  const step = Math.max(1, all.length / most);
  return all.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
}

const asText = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
