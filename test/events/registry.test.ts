/** Reading stored events: today's types, old ones through upcasters, unknown ones not at all. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  allEvents,
  createRegistry,
  decodeEvent,
  InvalidEvent,
  registry,
  UnknownEventType,
} from '../../src/events/registry.ts';
import { fact, msat } from '../../src/events/words.ts';
import { sampleEvents } from '../support/sample-events.ts';

describe("the log's registry", () => {
  it('names every type once', () => {
    expect(new Set(registry.types).size).toBe(allEvents.length);
  });

  it('turns stored amounts into bigints', () => {
    expect(decodeEvent('CommitmentSignedSent', { commitment_number: '7' })).toEqual({
      type: 'CommitmentSignedSent',
      commitment_number: 7n,
    });
  });

  it('knows every type it has a sample of', () => {
    expect(sampleEvents().every((event) => registry.knows(event.type))).toBe(true);
  });

  it('stops at an unknown type', () => {
    expect(() => decodeEvent('ChannelExploded', {})).toThrow(UnknownEventType);
    expect(() => decodeEvent('toString', {})).toThrow('no schema and no upcaster for event type toString');
  });

  it.each([
    ['a missing field', {}],
    ['a number for an amount', { commitment_number: 7 }],
    ['an amount in another form', { commitment_number: '07' }],
    ['a field too many', { commitment_number: '7', more: 1 }],
    ['a type of its own', { commitment_number: '7', type: 'CommitmentSignedSent' }],
    ['a list', [7]],
    ['nothing', null],
  ])('refuses data with %s and names what was expected', (_name, data) => {
    expect(() => decodeEvent('CommitmentSignedSent', data)).toThrow(InvalidEvent);
    expect(() => decodeEvent('CommitmentSignedSent', data)).toThrow(
      /CommitmentSignedSent does not fit its schema: expected .+, got /,
    );
  });
});

describe('upcasters', () => {
  /** In version 1 an amount was in satoshi; version 2 had a wrong name; version 3 is today's. */
  const paid = fact('Paid3', { amount_msat: msat, memo: z.string() });
  const upcasters = {
    Paid: (data: Readonly<Record<string, unknown>>) => ({
      type: 'Paid2',
      data: { sum_msat: `${data['amount_sat'] as string}000` },
    }),
    Paid2: (data: Readonly<Record<string, unknown>>) => ({
      type: 'Paid3',
      data: { amount_msat: data['sum_msat'], memo: '' },
    }),
  };
  const versions = createRegistry<z.output<typeof paid>>([paid], upcasters);

  it('read every version as it is today, step by step', () => {
    const today = { type: 'Paid3', amount_msat: 5000n, memo: '' };
    expect(versions.decode('Paid', { amount_sat: '5' })).toEqual(today);
    expect(versions.decode('Paid2', { sum_msat: '5000' })).toEqual(today);
    expect(versions.decode('Paid3', { amount_msat: '5000', memo: '' })).toEqual(today);
  });

  it('make their types known', () => {
    expect(['Paid', 'Paid2', 'Paid3', 'Paid4'].map(versions.knows)).toEqual([true, true, true, false]);
  });

  it('do not save data that fits no version', () => {
    expect(() => versions.decode('Paid2', { sum_msat: 'many' })).toThrow(InvalidEvent);
  });

  it('may lead nowhere, but not in a circle, and never shadow a schema', () => {
    expect(() => createRegistry([paid], { Old: (data) => ({ type: 'Gone', data }) }).decode('Old', {})).toThrow(
      UnknownEventType,
    );
    expect(() =>
      createRegistry([paid], { A: (data) => ({ type: 'B', data }), B: (data) => ({ type: 'A', data }) }).decode(
        'A',
        {},
      ),
    ).toThrow('circle');
    expect(() => createRegistry([paid], { Paid3: (data) => ({ type: 'Paid3', data }) })).toThrow(
      'both a schema and an upcaster',
    );
  });
});
