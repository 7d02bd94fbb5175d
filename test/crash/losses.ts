/** What a power cut must never cost, by name; and what was found. */

/** Each law and how a breach of it is told in the closing table. */
export const LOSSES = {
  acknowledged: 'facts told and lost',
  spoken: 'messages sent before they were durable',
  revoked: 'revoked commitments signed again',
  equivocal: 'commitments signed in two versions',
  relayed: 'HTLCs offered twice',
  halves: 'relays whose halves part',
  outcome: 'payments whose ends differ',
  stuck: 'payments and HTLCs stuck',
  money: 'msat unaccounted for',
  resumed: 'channels not resumed',
  unresolved: 'channels not resolved',
  unclaimed: 'outputs that nobody claimed',
  wallet: 'wallets with other sat than expected',
  audit: 'logs that fail the audit',
  torn: 'torn logs signed on',
} as const;

export type LossKind = keyof typeof LOSSES;

export interface Loss {
  readonly kind: LossKind;
  /** One sentence with both values. */
  readonly what: string;
}

/** A loss after which nothing more can be learnt. */
export class RunBroken extends Error {}

export class Losses {
  readonly found: Loss[] = [];
  readonly #onLoss: (loss: Loss) => void;

  constructor(onLoss: (loss: Loss) => void = () => undefined) {
    this.#onLoss = onLoss;
  }

  add(kind: LossKind, what: string): void {
    const loss = { kind, what };
    this.found.push(loss);
    this.#onLoss(loss);
  }

  count(kind: LossKind): number {
    return this.found.filter((loss) => loss.kind === kind).length;
  }
}
