/** BOLT 11, "Tagged Fields": which fields an invoice must have, may have once or often, and in which order we write them. */
import { missingDependencies, unknownEvenBits } from '../09-features/features.ts';
import type { Hex, Hex32, Msat, Point } from '../primitives.ts';
import type { Currency } from './human-readable.ts';
import { InvoiceError } from './invoice-error.ts';
import { FIELDS, type Fallback, type FieldFormat, MAX_FIELD_WORDS, type RoutingHop, isKnownFallback } from './tagged-fields.ts';
import { BECH32_DIGITS, digitsToWords, integerToWords, wordsToDigits } from './words.ts';

export const DEFAULT_EXPIRY = 3600;
export const DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA = 18;

/** A field that we do not understand, in bech32 digits: kept, so that nothing is lost. */
export interface UnknownField {
  readonly tag: string;
  readonly digits: string;
}

/** What the payee states. Exactly one of `description` and `description_hash` is given. */
export interface InvoiceFields {
  readonly currency: Currency;
  /** Undefined when the payer may choose. */
  readonly amount_msat?: Msat;
  /** Unix seconds, 35 bits. */
  readonly timestamp: number;
  readonly payment_hash: Hex32;
  readonly payment_secret: Hex32;
  readonly description?: string;
  /** SHA256 of a description that is to be had elsewhere. */
  readonly description_hash?: Hex32;
  /** Seconds from `timestamp`; 3600 where nothing is said. */
  readonly expiry?: number;
  /** Blocks; 18 where nothing is said. */
  readonly min_final_cltv_expiry_delta?: number;
  /** The payee, where the invoice names it; most leave it to be recovered from the signature. */
  readonly node_id?: Point;
  readonly payment_metadata?: Hex;
  /** In order of preference. */
  readonly fallbacks?: readonly Fallback[];
  /** In order of preference. */
  readonly routing_hints?: readonly (readonly RoutingHop[])[];
  /** As BOLT 9 writes features; '' where nothing is said. */
  readonly features?: Hex;
  readonly unknown?: readonly UnknownField[];
}

type Defaulted = 'expiry' | 'min_final_cltv_expiry_delta' | 'fallbacks' | 'routing_hints' | 'features' | 'unknown';
/** The same with the defaults filled in. */
export type CompleteFields = Omit<InvoiceFields, Defaulted> & Required<Pick<InvoiceFields, Defaulted>>;

/** All fields in words, in the order of most examples of BOLT 11. Throws InvoiceError when one does not fit. */
export function fieldWords(fields: InvoiceFields): number[] {
  assertOneDescription(fields);
  const one = <T>({ tag, format }: Field<T>, value: T | undefined): number[] =>
    value === undefined ? [] : tagged(tag, format.write(value));
  return [
    ...one(FIELDS.payment_secret, fields.payment_secret),
    ...one(FIELDS.payment_hash, fields.payment_hash),
    ...one(FIELDS.description, fields.description),
    ...one(FIELDS.description_hash, fields.description_hash),
    ...one(FIELDS.payment_metadata, fields.payment_metadata),
    ...one(FIELDS.node_id, fields.node_id),
    ...one(FIELDS.expiry, fields.expiry),
    ...one(FIELDS.min_final_cltv_expiry_delta, fields.min_final_cltv_expiry_delta),
    ...(fields.fallbacks ?? []).flatMap((fallback) => one(FIELDS.fallback, fallback)),
    ...(fields.routing_hints ?? []).flatMap((hint) => one(FIELDS.routing_hint, hint)),
    // A field without a bit is omitted altogether.
    ...(/[^0]/.test(fields.features ?? '') ? one(FIELDS.features, fields.features) : []),
    ...(fields.unknown ?? []).flatMap(({ tag, digits }) => tagged(tag, digitsToWords(digits))),
  ];
}

function tagged(tag: string, words: readonly number[]): number[] {
  if (words.length > MAX_FIELD_WORDS) {
    throw new InvoiceError('field_too_long', `${tag}: expected at most ${MAX_FIELD_WORDS} words, got ${words.length}`);
  }
  return [...digitsToWords(tag), ...integerToWords(BigInt(words.length), 2), ...words];
}

/** A field as it stands in the text. */
export interface RawField {
  readonly tag: string;
  readonly words: readonly number[];
}

/** Throws InvoiceError `truncated_field`. */
export function splitFields(words: readonly number[]): RawField[] {
  const fields: RawField[] = [];
  for (let at = 0; at < words.length;) {
    const [type, high, low] = words.slice(at, at + 3);
    const end = low === undefined ? Infinity : at + 3 + high! * 32 + low;
    if (end > words.length) throw new InvoiceError('truncated_field', `expected ${end - at} words for a field, got ${words.length - at}`);
    fields.push({ tag: BECH32_DIGITS[type!]!, words: words.slice(at + 3, end) });
    at = end;
  }
  return fields;
}

/** The payee that the invoice names, if it does. Throws InvoiceError. */
export const readNodeId = (raw: readonly RawField[]): Point | undefined => readOne(raw, FIELDS.node_id);

/** What the tagged fields tell; the rest is in the human-readable part and before the first field. */
type TaggedFields = Omit<CompleteFields, 'currency' | 'amount_msat' | 'timestamp'>;

/** Throws InvoiceError when the fields break a rule of BOLT 11. */
export function readFields(raw: readonly RawField[]): TaggedFields {
  const one = <T>(field: Field<T>): T | undefined => readOne(raw, field);
  const fields = {
    payment_hash: required('missing_payment_hash', one(FIELDS.payment_hash)),
    payment_secret: required('missing_payment_secret', one(FIELDS.payment_secret)),
    ...present('description', one(FIELDS.description)),
    ...present('description_hash', one(FIELDS.description_hash)),
    ...present('payment_metadata', one(FIELDS.payment_metadata)),
    ...present('node_id', one(FIELDS.node_id)),
    expiry: one(FIELDS.expiry) ?? DEFAULT_EXPIRY,
    min_final_cltv_expiry_delta: one(FIELDS.min_final_cltv_expiry_delta) ?? DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA,
    fallbacks: readAll(raw, FIELDS.fallback),
    routing_hints: readAll(raw, FIELDS.routing_hint),
    features: one(FIELDS.features) ?? '',
    unknown: raw.filter(isUnknown).map(({ tag, words }) => ({ tag, digits: wordsToDigits(words) })),
  };
  assertOneDescription(fields);
  assertFeatures(fields.features);
  return fields;
}

const KNOWN_TAGS: ReadonlySet<string> = new Set(Object.values(FIELDS).map(({ tag }) => tag));

/** BOLT 11: a fallback of an unknown version is skipped like a field of an unknown tag. */
const isUnknown = ({ tag, words }: RawField): boolean => !KNOWN_TAGS.has(tag) || (tag === 'f' && !isKnownFallback(words));

interface Field<T> {
  readonly tag: string;
  readonly format: FieldFormat<T>;
}

function readAll<T>(raw: readonly RawField[], { tag, format }: Field<T>): T[] {
  return raw.filter((field) => field.tag === tag && !isUnknown(field)).map((field) => format.read(field.words, tag));
}

/** A field that stands twice is refused: readers that choose differently would pay differently. */
function readOne<T>(raw: readonly RawField[], field: Field<T>): T | undefined {
  const values = readAll(raw, field);
  if (values.length > 1) throw new InvoiceError('duplicate_field', `expected one ${field.tag}, got ${values.length}`);
  return values[0];
}

function required<T>(code: 'missing_payment_hash' | 'missing_payment_secret', value: T | undefined): T {
  if (value === undefined) throw new InvoiceError(code, 'expected exactly one, got none');
  return value;
}

const present = <K extends string, T>(name: K, value: T | undefined): { [P in K]?: T } =>
  (value === undefined ? {} : { [name]: value }) as { [P in K]?: T };

function assertOneDescription({ description, description_hash }: Pick<InvoiceFields, 'description' | 'description_hash'>): void {
  if (description === undefined && description_hash === undefined) {
    throw new InvoiceError('missing_description', 'expected d or h, got neither');
  }
  if (description !== undefined && description_hash !== undefined) throw new InvoiceError('two_descriptions', 'expected d or h, got both');
}

function assertFeatures(features: Hex): void {
  const [unknown] = unknownEvenBits(features);
  if (unknown !== undefined) throw new InvoiceError('unknown_required_feature', `expected features that we know, got bit ${unknown}`);
  const [missing] = missingDependencies(features);
  if (missing !== undefined) {
    throw new InvoiceError('missing_feature_dependency', `expected ${missing.needs} beside ${missing.feature}, got none`);
  }
}
