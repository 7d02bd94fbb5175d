/** The signer's own memory against rollback: what was signed and revoked per channel, so that a stale log cannot go back (BOLT 2, "Message Retransmission"). */

/** The marks of one channel; -1n where nothing was done yet. They only rise. */
export interface HighWater {
  /** The peer's highest commitment that we signed. */
  readonly signed: bigint;
  /** Our highest commitment whose secret we gave away. */
  readonly revoked: bigint;
}

/** The signer will not: `detail` and the message name what was asked and what forbids it. */
export class SignerRefusal extends Error {
  readonly code: string;
  readonly detail: Readonly<Record<string, string | number | bigint>>;
  constructor(code: string, message: string, detail: Readonly<Record<string, string | number | bigint>>) {
    super(`${code}: ${message}`);
    this.name = 'SignerRefusal';
    this.code = code;
    this.detail = detail;
  }
}

/** Called with a channel's new marks before what raised them leaves the signer. If it throws, nothing leaves. */
export type OnHighWater = (key_index: number, marks: HighWater) => void;

const NOTHING: HighWater = { signed: -1n, revoked: -1n };

/** Marks by key_index: two numbers a channel. `known` are those of an earlier run. */
export function createHighWater(onHighWater: OnHighWater = () => {}, known: Iterable<readonly [number, HighWater]> = []) {
  const marks = new Map<number, HighWater>(known);
  const marksOf = (key_index: number): HighWater => marks.get(key_index) ?? NOTHING;

  function raise(key_index: number, next: HighWater): void {
    onHighWater(key_index, next);
    marks.set(key_index, next);
  }

  return {
    of: marksOf,
    /** Refuses to sign a commitment of the peer older than one it may hold already. The same one again is a retransmission. */
    sign(key_index: number, commitment_number: bigint): void {
      const { signed, revoked } = marksOf(key_index);
      if (commitment_number < signed) {
        throw new SignerRefusal('commitment_below_high_water', `asked to sign the peer's commitment ${commitment_number}, signed up to ${signed}`, { key_index, commitment_number, signed });
      }
      if (commitment_number > signed) raise(key_index, { signed: commitment_number, revoked });
    },
    /** Notes that a secret leaves. An older one again is a retransmission, and no secret any more. */
    reveal(key_index: number, commitment_number: bigint): void {
      const { signed, revoked } = marksOf(key_index);
      if (commitment_number > revoked) raise(key_index, { signed, revoked: commitment_number });
    },
  };
}
