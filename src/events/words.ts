/** The zod words that event schemas are made of: JSON text on disk, branded values in memory. Amounts are decimal strings on disk. */
import { z } from 'zod';
import {
  hex32 as toHex32Word,
  isHex,
  msat as toMsat,
  parseShortChannelId,
  point as toPointWord,
  sat as toSat,
  signature as toSignatureWord,
  type Hex,
  type Hex32,
  type Msat,
  type Point,
  type Sat,
  type ShortChannelId,
  type Signature,
} from '../bolt/primitives.ts';

const decimal = z.string().regex(/^(0|[1-9][0-9]{0,19})$/, 'expected a decimal string');

export const u64 = decimal.transform((text) => BigInt(text));
export const msat = decimal.transform((text): Msat => toMsat(BigInt(text)));
export const sat = decimal.transform((text): Sat => toSat(BigInt(text)));
export const u8 = z.int().min(0).max(0xff);
export const u16 = z.int().min(0).max(0xffff);
export const u32 = z.int().min(0).max(0xffffffff);
export const count = z.int().min(0);
export const hex = z.string().refine((text) => isHex(text), 'expected lower-case hex') as unknown as z.ZodType<
  Hex,
  string
>;

const word = <T>(byteLength: number, brand: (text: string) => T) =>
  z
    .string()
    .refine((text) => isHex(text, byteLength), `expected ${byteLength} bytes of lower-case hex`)
    .transform((text): T => brand(text));

export const hex32 = word<Hex32>(32, toHex32Word);
export const point = word<Point>(33, toPointWord);
export const signature = word<Signature>(64, toSignatureWord);
export const short_channel_id = z
  .string()
  .regex(/^\d{1,8}x\d{1,8}x\d{1,5}$/, 'expected BLOCKxTRANSACTIONxOUTPUT')
  .transform((text): ShortChannelId => parseShortChannelId(text));
export const text = z.string().max(65_535);
export const stream = z.string().min(1).max(256);

/** An event schema: stored for ever. Add a new type, never change one. */
export function fact<T extends string, S extends z.ZodRawShape>(type: T, shape: S) {
  return z.strictObject({ type: z.literal(type), ...shape });
}
