/** Events of every type, made from their schemas: one fixed sample of each, and arbitrary ones for properties. */
import fc from 'fast-check';
import type { z } from 'zod';
import { decodeEvent, allEvents, type Event } from '../../src/events/registry.ts';

/** The part of a zod schema's definition that we walk. */
interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, Schema>>;
  readonly element?: Schema;
  readonly options?: readonly Schema[];
  readonly innerType?: Schema;
  readonly values?: readonly string[];
  readonly entries?: Readonly<Record<string, string>>;
  readonly checks?: readonly { readonly _zod: { readonly def: { readonly maximum?: number } } }[];
}
type Schema = z.ZodType & { readonly _zod: { readonly def: unknown } };

const digits = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });

/** Leaves cannot be read from the schema: a leaf is of the first kind whose probe it takes and whose counter-probe it refuses. */
const LEAVES: readonly {
  readonly probe: unknown;
  readonly never?: unknown;
  readonly arbitrary: fc.Arbitrary<unknown>;
}[] = [
  { probe: true, arbitrary: fc.boolean() },
  { probe: 7, never: 256, arbitrary: fc.integer({ min: 0, max: 0xff }) },
  { probe: 515, never: 65_536, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
  { probe: 99_999, never: 2 ** 32, arbitrary: fc.integer({ min: 0, max: 0xffff_ffff }) },
  { probe: 1_760_000_000, arbitrary: fc.maxSafeNat() },
  { probe: 'ä sample "text"\n', arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }) },
  {
    probe: '103x1x0',
    arbitrary: fc.tuple(fc.nat(0xffffff), fc.nat(0xffffff), fc.nat(0xffff)).map((parts) => parts.join('x')),
  },
  { probe: '1234567890123', never: 'ab', arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String) },
  { probe: '02'.repeat(32), never: '', arbitrary: digits(64) },
  { probe: `02${'a1'.repeat(32)}`, never: '', arbitrary: digits(66) },
  { probe: '5c'.repeat(64), never: '', arbitrary: digits(128) },
  { probe: '00ff', arbitrary: fc.nat(40).chain((bytes) => digits(bytes * 2)) },
];

const definition = (schema: Schema): Definition => schema._zod.def as Definition;

/** How many elements an array schema takes. */
const mostOf = (schema: Schema): number => Math.min(...(definition(schema).checks ?? []).map(({ _zod }) => _zod.def.maximum ?? Infinity));

function leafOf(schema: Schema): (typeof LEAVES)[number] {
  const leaf = LEAVES.find(
    ({ probe, never }) => schema.safeParse(probe).success && (never === undefined || !schema.safeParse(never).success),
  );
  if (leaf === undefined)
    throw new Error(`no sample fits a schema of type ${definition(schema).type}: add a kind of leaf`);
  return leaf;
}

/** One fixed value that the schema takes: every optional field set, the first option of every union. */
function sampleOf(schema: Schema): unknown {
  const { type, shape, element, options, innerType, values, entries } = definition(schema);
  if (type === 'object')
    return Object.fromEntries(Object.entries(shape!).map(([key, field]) => [key, sampleOf(field)]));
  if (type === 'array') return [sampleOf(element!)];
  if (type === 'union') return sampleOf(options![0]!);
  if (type === 'optional') return sampleOf(innerType!);
  if (type === 'literal') return values![0];
  if (type === 'enum') return Object.values(entries!)[0];
  return leafOf(schema).probe;
}

function arbitraryOf(schema: Schema): fc.Arbitrary<unknown> {
  const { type, shape, element, options, innerType, values, entries } = definition(schema);
  if (type === 'object')
    return fc.record(Object.fromEntries(Object.entries(shape!).map(([key, field]) => [key, arbitraryOf(field)])));
  if (type === 'array') return fc.array(arbitraryOf(element!), { minLength: 1, maxLength: Math.min(3, mostOf(schema)) });
  if (type === 'union') return fc.oneof(...options!.map(arbitraryOf));
  if (type === 'optional') return fc.option(arbitraryOf(innerType!), { nil: undefined });
  if (type === 'literal') return fc.constant(values![0]);
  if (type === 'enum') return fc.constantFrom(...Object.values(entries!));
  return leafOf(schema).arbitrary;
}

function toEvent(json: unknown): Event {
  const { type, ...data } = json as { type: string };
  return decodeEvent(type, data);
}

/** One event of every type, always the same. */
export const sampleEvents = (): readonly Event[] => allEvents.map((schema) => toEvent(sampleOf(schema as never)));

export const sampleEvent = (type: Event['type']): Event => sampleEvents().find((event) => event.type === type)!;

/** Any event of any type. */
export const anyEvent: fc.Arbitrary<Event> = fc
  .oneof(...allEvents.map((schema) => arbitraryOf(schema as never)))
  .map(toEvent);
