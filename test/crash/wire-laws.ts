/** What a node may say about commitments, whatever happens to it: BOLT 2 in two sentences, checked on the record of its wire. */
import type { Hex32, Signature } from '../../src/bolt/primitives.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import type { Fact, Numbers, Past } from '../support/node-past.ts';
import type { WireWord } from '../support/wire-record.ts';
import type { Losses } from './losses.ts';

/** How many different commitments were signed and revoked on the wire: at most as many as the log owes. */
export function numbersSpoken(words: readonly WireWord[]): ReadonlyMap<Hex32, Numbers> {
  const said = new Map<Hex32, { readonly signatures: Set<Signature>; readonly secrets: Set<Hex32> }>();
  for (const word of words) {
    if (word.way !== 'sent') continue;
    const channel = said.get(word.channel_id) ?? { signatures: new Set(), secrets: new Set() };
    said.set(word.channel_id, channel);
    if (word.type === 'commitment_signed') channel.signatures.add(word.signature);
    else channel.secrets.add(word.per_commitment_secret);
  }
  return new Map([...said].map(([channel_id, { signatures, secrets }]) => [channel_id, { signed: signatures.size, revoked: secrets.size }]));
}

/** What the world heard of a node up to its death. */
export interface Heirloom {
  readonly told: readonly Fact[];
  readonly spoken: ReadonlyMap<Hex32, Numbers>;
}

/** Whoever wakes up knows all that it ever said. */
export function checkMemory(name: string, { facts, channels }: Past, { told, spoken }: Heirloom, losses: Losses): void {
  for (const fact of told) if (!facts.has(fact)) losses.add('acknowledged', `${name} had said ${fact}: its log does not know of it`);
  for (const [channel_id, numbers] of spoken) {
    for (const what of ['signed', 'revoked'] as const) {
      const [said, known] = [numbers[what], channels.get(channel_id)?.[what] ?? 0];
      if (said > known) losses.add('spoken', `${name} had ${what} ${said} commitments of ${channel_id}: its log knows of ${known}`);
    }
  }
}

/** What a log says was received: which commitment a signature or a secret is of. */
export interface Heard {
  readonly signatures: ReadonlyMap<Signature, bigint>;
  readonly secrets: ReadonlyMap<Hex32, bigint>;
}

export function heardIn(log: readonly EventEnvelope[]): Heard {
  const signatures = new Map<Signature, bigint>();
  const secrets = new Map<Hex32, bigint>();
  for (const { event } of log) {
    if (event.type === 'CommitmentSignedReceived') signatures.set(event.signature, event.commitment_number);
    if (event.type === 'RevokeAndAckReceived') secrets.set(event.per_commitment_secret, event.commitment_number);
  }
  return { signatures, secrets };
}

/**
 * One node's words on one channel, at rest: what it sent is in its peer's log, what it received in its own.
 * A commitment is signed in one version alone, and never once the peer revoked it; ours is revoked only for a newer one.
 */
export function checkWords(who: string, words: readonly WireWord[], own: Heard, peer: Heard, losses: Losses): void {
  let revokedByPeer = -1n;
  let newestOfOurs = 0n;
  for (const word of words) {
    const heard = word.way === 'sent' ? peer : own;
    const number = word.type === 'commitment_signed' ? heard.signatures.get(word.signature) : heard.secrets.get(word.per_commitment_secret);
    if (number === undefined) {
      losses.add('equivocal', `${who} ${word.way} a ${word.type} of ${word.channel_id} that ended in no log`);
      continue;
    }
    switch (`${word.way} ${word.type}` as const) {
      case 'received revoke_and_ack':
        revokedByPeer = number > revokedByPeer ? number : revokedByPeer;
        break;
      case 'received commitment_signed':
        newestOfOurs = number > newestOfOurs ? number : newestOfOurs;
        break;
      case 'sent commitment_signed':
        if (number <= revokedByPeer) losses.add('revoked', `${who} signed commitment ${number} of ${word.channel_id}, revoked up to ${revokedByPeer}`);
        break;
      case 'sent revoke_and_ack':
        if (number >= newestOfOurs) losses.add('revoked', `${who} revoked its commitment ${number} of ${word.channel_id}, its newest is ${newestOfOurs}`);
        break;
    }
  }
}
