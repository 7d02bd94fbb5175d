/** What every EventStore promises, as one suite for all of them: revisions, conflicts, repetition, order, subscriptions, restarts, damage. */
import { appendingContract } from './contract/appending.ts';
import { badDaysContract } from './contract/bad-days.ts';
import { damageContract } from './contract/damage.ts';
import { readingContract } from './contract/reading.ts';
import type { Impossible, LogHarness } from './contract/support.ts';

export type { Impossible, LogHarness, RawLog } from './contract/support.ts';

/** The suite. `create` makes an empty log. */
export function eventStoreContract(name: string, create: () => LogHarness | Promise<LogHarness>, impossible: readonly Impossible[] = []): void {
  appendingContract(name, create);
  readingContract(name, create, impossible);
  badDaysContract(name, create, impossible);
  damageContract(name, create, impossible);
}
