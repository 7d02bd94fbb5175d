/** BOLT 2, "Committing Updates So Far" and "Completing the Transition to the Updated State": what a signature and a secret must be. */
import { describe, expect, it } from 'vitest';
import { buildCommitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { lookupSecret, secretIndex } from '../../../src/bolt/03-transactions/per-commitment-secret.ts';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import { msat, type Hex32, type Point, type Signature } from '../../../src/bolt/primitives.ts';
import { commitmentParams, commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
import { commitmentIsDue } from '../../../src/domain/channel/committing.ts';
import { codeOf, opened, type Pair, type Peer } from '../../support/channel-pair.ts';

type CommitmentSigned = MessageOf<'commitment_signed'>;
type RevokeAndAck = MessageOf<'revoke_and_ack'>;

const txidOf = (peer: Peer, owner: 'local' | 'remote') => buildCommitment(commitmentParams(peer.established, owner), commitmentSpec(peer.established, owner)).txid;

/** alice has offered `htlcs` HTLCs and signed; bob has read the offers and has the signature before him. */
function signed(htlcs = 1): { pair: Pair; message: CommitmentSigned } {
  const pair = opened();
  for (let payment = 1; payment <= htlcs; payment++) pair.alice.offer({ payment, amount_msat: msat(BigInt(payment) * 2_000_000n) });
  for (let offer = 0; offer < htlcs; offer++) pair.deliver(pair.bob);
  pair.alice.followUp();
  return { pair, message: pair.alice.saying[0] as CommitmentSigned };
}

/** bob has answered alice's signature, and alice has his revocation before her. */
function revoked(): { pair: Pair; message: RevokeAndAck } {
  const { pair } = signed();
  pair.deliver(pair.bob);
  return { pair, message: pair.bob.saying[0] as RevokeAndAck };
}

describe('commitment_signed', () => {
  it('is due when a change waits and the peer has revoked what we signed before', () => {
    const pair = opened();
    expect(commitmentIsDue(pair.alice.state)).toBe(false);
    expect(pair.alice.decide({ type: 'SignCommitment' })).toEqual({ accepted: [] });
    pair.alice.offer();
    expect(commitmentIsDue(pair.alice.state)).toBe(true);
    expect(pair.alice.decide({ type: 'SignCommitment' })).toEqual({ accepted: [{ type: 'CommitmentSignedSent', commitment_number: 1n }] });
    pair.alice.offer({ payment: 2 });
    expect(commitmentIsDue(pair.alice.state)).toBe(false);
  });

  it('carries every update that waits', () => {
    const { pair } = signed(5);
    pair.settle();
    expect(pair.alice.has('CommitmentSignedSent')).toHaveLength(1);
    expect(pair.bob.has('IncomingHtlcCommitted')).toHaveLength(5);
  });

  it.each(['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const)('with %s makes a commitment that both sides build alike', (format) => {
    const pair = opened({ format });
    for (let payment = 1; payment <= 3; payment++) pair.peers.forEach((peer, side) => peer.offer({ payment: 2 * payment + side, amount_msat: msat(BigInt(payment) * 700_000n) }));
    pair.settle();
    expect(txidOf(pair.alice, 'remote')).toBe(txidOf(pair.bob, 'local'));
    expect(txidOf(pair.bob, 'remote')).toBe(txidOf(pair.alice, 'local'));
    expect(txidOf(pair.alice, 'local')).not.toBe(txidOf(pair.alice, 'remote'));
  });

  it('is answered by revoke_and_ack in the same turn', () => {
    const { pair, message } = signed();
    expect(pair.bob.receive(pair.alice.outbox[0]!)).toEqual({
      accepted: [
        { type: 'CommitmentSignedReceived', commitment_number: 1n, signature: message.signature, htlc_signatures: message.htlc_signatures },
        { type: 'RevokeAndAckSent', commitment_number: 0n, next_per_commitment_point: pair.bob.point(2n) },
      ],
    });
  });

  const other = '01'.repeat(64) as Signature;
  it.each([
    ['a wrong signature', (message: CommitmentSigned) => ({ ...message, signature: other }), 'signature does not fit (2 htlc_signatures came)'],
    ['a wrong HTLC signature', ({ htlc_signatures, ...rest }: CommitmentSigned) => ({ ...rest, htlc_signatures: [htlc_signatures[0]!, other] }), 'htlc_signature 1 does not fit'],
    ['HTLC signatures in another order', ({ htlc_signatures, ...rest }: CommitmentSigned) => ({ ...rest, htlc_signatures: htlc_signatures.toReversed() }), 'htlc_signature 0 does not fit'],
    ['an HTLC signature too few', ({ htlc_signatures, ...rest }: CommitmentSigned) => ({ ...rest, htlc_signatures: htlc_signatures.slice(1) }), 'htlc_signature_count does not fit (1 htlc_signatures came)'],
    ['an HTLC signature too many', ({ htlc_signatures, ...rest }: CommitmentSigned) => ({ ...rest, htlc_signatures: [...htlc_signatures, other] }), 'htlc_signature_count does not fit (3 htlc_signatures came)'],
  ])('with %s fails the channel; the commitment before is owed to the chain', (_how, change, reason) => {
    const { pair, message } = signed(2);
    pair.bob.decide(pair.bob.gather(change(message))!);
    expect(pair.bob.state).toMatchObject({ phase: 'resolving', failure: { by: 'local', code: 'invalid_signature', reason: expect.stringContaining(reason) } });
    expect(pair.bob.established.commitments.local.number).toBe(0n);
    expect(pair.bob.broadcasts.map(({ what }) => what)).toEqual(['commitment']);
    expect(pair.bob.saying.at(-1)).toMatchObject({ type: 'error' });
  });

  it('heard twice is refused, and stored nowhere', () => {
    const { pair } = signed();
    const [bytes] = pair.alice.outbox;
    pair.deliver(pair.bob);
    const { state } = pair.bob;
    expect(pair.bob.receive(bytes!)).toMatchObject({ refused: { code: 'unexpected_commitment_signed', answer: 'disconnect', detail: { commitment_number: 2n } } });
    expect(pair.bob.state).toBe(state);
  });

  it('before the channel is open is refused', () => {
    const { message } = signed();
    const { bob } = opened();
    bob.close();
    const early = opened().bob;
    early.state = { ...early.established, phase: 'opening', step: 'funded' };
    expect(codeOf(early.decide(early.gather(message)!))).toBe('unexpected_message');
  });
});

describe('revoke_and_ack', () => {
  it('gives the secret of the commitment before, which is kept', () => {
    const { pair, message } = revoked();
    pair.deliver(pair.alice);
    const { remote } = pair.alice.established.commitments;
    expect(lookupSecret(remote.secrets, secretIndex(0n))).toBe(message.per_commitment_secret);
    expect(remote).toMatchObject({ number: 1n, awaiting_revocation: false, next_point: pair.bob.point(2n) });
  });

  it.each([
    ['that nobody asked for', (message: RevokeAndAck) => message, 'unexpected_revoke_and_ack'],
  ] as const)('%s is refused', (_how, change, code) => {
    const { pair, message } = revoked();
    pair.deliver(pair.alice);
    const { state } = pair.alice;
    expect(pair.alice.decide(pair.alice.gather(change(message))!)).toMatchObject({ refused: { code, answer: 'disconnect' } });
    expect(pair.alice.state).toBe(state);
  });

  it.each([
    ['a secret that is not the one behind the point', { per_commitment_secret: '11'.repeat(32) as Hex32 }, 'wrong_per_commitment_secret', 'expected the secret of'],
    ['a secret that is no private key', { per_commitment_secret: '00'.repeat(32) as Hex32 }, 'wrong_per_commitment_secret', 'got that of nothing'],
    ['a next point that is none', { next_per_commitment_point: `02${'00'.repeat(32)}` as Point }, 'invalid_point', 'is no point'],
  ] as const)('with %s fails the channel', (_how, change, code, reason) => {
    const { pair, message } = revoked();
    pair.alice.decide(pair.alice.gather({ ...message, ...change })!);
    expect(pair.alice.state).toMatchObject({ phase: 'resolving', failure: { code, reason: expect.stringContaining(reason) } });
  });

  it('with a secret that does not derive those before it fails the channel', () => {
    const { pair } = revoked();
    pair.settle();
    // As if the secret of commitment 0 had come from another seed.
    const { alice } = pair;
    const { commitments } = alice.established;
    const forged = { index: secretIndex(0n), secret: '11'.repeat(32) as Hex32 };
    alice.state = { ...alice.established, commitments: { ...commitments, remote: { ...commitments.remote, secrets: [forged] } } } as typeof alice.state;
    alice.offer({ payment: 2 });
    alice.followUp();
    while (alice.outbox.length > 0) pair.deliver(pair.bob);
    expect(codeOf(pair.deliver(alice))).toBe('secret_does_not_fit');
  });

  it('makes an incoming HTLC known to other streams only when neither side can take it back', () => {
    const { pair } = signed();
    const told = () => pair.bob.has('IncomingHtlcCommitted').length;
    pair.deliver(pair.bob); // alice's signature: only bob's commitment holds the HTLC.
    pair.deliver(pair.alice);
    pair.bob.followUp();
    pair.deliver(pair.alice); // bob's signature: alice's holds it too, but she has not revoked the one before.
    expect(told()).toBe(0);
    pair.deliver(pair.bob);
    expect(told()).toBe(1);
  });

  it('signatures that cross are no trouble', () => {
    const pair = opened();
    pair.peers.forEach((peer, side) => peer.offer({ payment: side + 1 }));
    for (const peer of pair.peers) peer.followUp();
    pair.settle();
    for (const { established } of pair.peers) expect(established.commitments.htlcs.map(({ state }) => state).toSorted()).toEqual(['RCVD_ADD_ACK_REVOCATION', 'SENT_ADD_ACK_REVOCATION']);
  });
});
