/** An output of a transaction, and its name where outputs are kept in maps. */
import type { Hex32 } from '../bolt/primitives.ts';

export interface OutPoint {
  readonly txid: Hex32;
  readonly output_index: number;
}

/** `<txid>:<output index>`. */
export type OutPointKey = string;

export const outPointKey = ({ txid, output_index }: OutPoint): OutPointKey => `${txid}:${output_index}`;
