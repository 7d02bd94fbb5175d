/** BOLT 2, "Message Retransmission": whatever the broken connection swallowed, both sides come to the same channel. */
import { describe, expect, it } from 'vitest';
import { msat } from '../../../src/bolt/primitives.ts';
import { confirm, funded, opened, Pair, type Peer } from '../../support/channel-pair.ts';

const types = (peer: Peer) => peer.saying.map(({ type }) => type);

/** Both have said channel_reestablish and heard the other's; what follows is on its way. */
function reconnected(pair: Pair): Pair {
  pair.disconnect().reconnect();
  pair.deliver(pair.alice);
  pair.deliver(pair.bob);
  return pair;
}

/** alice has offered and signed; nothing has been delivered. */
function aliceHasSigned(): Pair {
  const pair = opened();
  pair.alice.offer();
  pair.alice.followUp();
  return pair;
}

describe('after a reconnection', () => {
  it('of a channel just opened, channel_ready is said again by both', () => {
    const pair = reconnected(opened());
    expect(pair.peers.map(types)).toEqual([['channel_ready'], ['channel_ready']]);
    pair.settle();
    expect(pair.alice.refusals).toEqual([]);
  });

  it('a lost channel_ready opens the channel after all', () => {
    const pair = funded();
    for (const peer of pair.peers) confirm(pair, peer);
    reconnected(pair).settle();
    expect(pair.peers.map(({ state }) => state.phase)).toEqual(['normal', 'normal']);
  });

  it('with nothing lost, nothing is said again', () => {
    const pair = opened();
    pair.alice.offer();
    reconnected(pair.settle());
    expect(pair.peers.map(types)).toEqual([[], []]);
  });

  it('a lost update_add_htlc is said again with its id', () => {
    const pair = opened();
    pair.alice.offer();
    reconnected(pair);
    expect(pair.alice.saying.find(({ type }) => type === 'update_add_htlc')).toMatchObject({ id: 0n });
    pair.settle();
    expect(pair.bob.has('IncomingHtlcCommitted')).toHaveLength(1);
  });

  it('updates heard without a signature are forgotten, and their ids come again', () => {
    const pair = opened();
    for (const payment of [1, 2]) pair.alice.offer({ payment });
    pair.deliver(pair.bob);
    pair.deliver(pair.bob);
    expect(pair.bob.established.commitments.next_received_id).toBe(2n);
    reconnected(pair);
    expect(pair.bob.established.commitments).toMatchObject({ htlcs: [], next_received_id: 0n });
    pair.settle();
    expect(pair.bob.has('UpdateAddHtlcReceived').map(({ id }) => id)).toEqual([0n, 1n, 0n, 1n]);
    expect(pair.bob.has('IncomingHtlcCommitted').map(({ htlc_id }) => htlc_id)).toEqual([0n, 1n]);
  });

  it('an offer that the peer itself gives up leaves its id to the next', () => {
    const pair = opened();
    const forgetful = pair.alice.fork();
    pair.alice.offer({ payment: 1 });
    pair.deliver(pair.bob);
    pair.disconnect();
    forgetful.disconnect();
    const again = new Pair(forgetful, pair.bob).reconnect().settle();
    forgetful.offer({ payment: 2, amount_msat: msat(3_000_000n) });
    again.settle();
    expect(again.bob.established.commitments.htlcs).toMatchObject([{ id: 0n, amount_msat: 3_000_000n, state: 'RCVD_ADD_ACK_REVOCATION' }]);
  });

  it('a removal heard without a signature is undone and said again', () => {
    const pair = opened();
    pair.alice.offer();
    pair.settle();
    pair.bob.fail(0n);
    pair.deliver(pair.alice);
    reconnected(pair);
    expect(pair.alice.htlc('offered', 0n)).toMatchObject({ state: 'SENT_ADD_ACK_REVOCATION' });
    expect(pair.alice.htlc('offered', 0n)!.removal).toBeUndefined();
    expect(types(pair.bob)).toEqual(['update_fail_htlc']);
    pair.settle();
    expect(pair.alice.has('OutgoingHtlcFailed')).toHaveLength(1);
  });

  it('a removal decided while the connection was down is said with the next', () => {
    const pair = opened();
    pair.alice.offer();
    pair.settle().disconnect();
    pair.bob.fulfill(0n);
    expect(pair.bob.outbox).toEqual([]);
    pair.reconnect().settle();
    expect(pair.alice.established.commitments.local_msat).toBe(590_000_000n);
  });

  it('an update_fee heard without a signature is forgotten and said again', () => {
    const pair = opened();
    pair.alice.setFee(2_000);
    pair.deliver(pair.bob);
    reconnected(pair);
    expect(pair.bob.established.commitments.fees).toHaveLength(1);
    pair.settle();
    expect(pair.bob.established.commitments.fees).toMatchObject([{ feerate_per_kw: 2_000 }]);
  });

  it('a lost commitment_signed is said again, its updates before it', () => {
    const pair = reconnected(aliceHasSigned());
    expect(types(pair.alice)).toEqual(['channel_ready', 'update_add_htlc', 'commitment_signed']);
    pair.settle();
    expect(pair.alice.has('CommitmentSignedSent')).toHaveLength(1);
  });

  it('a lost revoke_and_ack is said again', () => {
    const pair = aliceHasSigned();
    pair.deliver(pair.bob);
    pair.deliver(pair.bob);
    reconnected(pair);
    expect(types(pair.bob)).toEqual(['revoke_and_ack']);
    expect(types(pair.alice)).toEqual([]);
    pair.settle();
    expect(pair.bob.has('RevokeAndAckSent').map(({ commitment_number }) => commitment_number)).toEqual([0n]);
  });

  it('both lost: revoke_and_ack first, if it was said first', () => {
    const pair = aliceHasSigned();
    pair.deliver(pair.bob);
    pair.deliver(pair.bob);
    pair.bob.followUp(); // Acknowledges the HTLC with a signature of its own.
    expect(types(pair.bob)).toEqual(['revoke_and_ack', 'commitment_signed']);
    reconnected(pair);
    expect(types(pair.bob)).toEqual(['revoke_and_ack', 'commitment_signed']);
    pair.settle();
    expect(pair.bob.has('IncomingHtlcCommitted')).toHaveLength(1);
  });

  it('both lost: commitment_signed first, if it was said first', () => {
    const pair = aliceHasSigned();
    pair.bob.offer({ payment: 2 });
    pair.bob.followUp();
    pair.deliver(pair.bob);
    pair.deliver(pair.bob);
    expect(types(pair.bob)).toEqual(['update_add_htlc', 'commitment_signed', 'revoke_and_ack']);
    reconnected(pair);
    expect(types(pair.bob)).toEqual(['update_add_htlc', 'commitment_signed', 'revoke_and_ack']);
    pair.settle();
    for (const { established } of pair.peers) expect(established.commitments.htlcs).toHaveLength(2);
  });

  it('the signature said again is the same, to the byte', () => {
    const pair = aliceHasSigned();
    const before = pair.alice.saying.find(({ type }) => type === 'commitment_signed');
    reconnected(pair);
    expect(pair.alice.saying.find(({ type }) => type === 'commitment_signed')).toEqual(before);
  });

  it('shutdown is said again', () => {
    const pair = opened();
    pair.alice.offer();
    pair.settle();
    pair.alice.close();
    reconnected(pair);
    expect(types(pair.alice)).toEqual(['shutdown']);
    pair.settle();
    expect(pair.bob.state.phase).toBe('shutdown');
  });
});

describe('what was lost together', () => {
  /** Both have offered and signed at once; everything is on its way. */
  function bothHaveSigned(): Pair {
    const pair = opened();
    pair.alice.offer({ payment: 1 });
    pair.bob.offer({ payment: 2, amount_msat: msat(20_000_000n) });
    for (const peer of pair.peers) peer.followUp();
    return pair;
  }

  const bothHold = (pair: Pair, htlcs: number) => {
    for (const { established } of pair.settle().peers) expect(established.commitments.htlcs).toHaveLength(htlcs);
    expect(pair.peers.flatMap(({ refusals }) => refusals)).toEqual([]);
  };

  it('the commitment_signed of both: both say theirs again', () => {
    const pair = reconnected(bothHaveSigned());
    for (const peer of pair.peers) expect(types(peer)).toEqual(['channel_ready', 'update_add_htlc', 'commitment_signed']);
    bothHold(pair, 2);
  });

  it('the revoke_and_ack of both: both say theirs again, and nothing else', () => {
    const pair = bothHaveSigned();
    for (const peer of [...pair.peers, ...pair.peers]) pair.deliver(peer);
    expect(pair.peers.map(types)).toEqual([['revoke_and_ack'], ['revoke_and_ack']]);
    reconnected(pair);
    expect(pair.peers.map(types)).toEqual([['revoke_and_ack'], ['revoke_and_ack']]);
    bothHold(pair, 2);
  });

  it('the commitment_signed of one and the revoke_and_ack of the other', () => {
    const pair = bothHaveSigned();
    pair.deliver(pair.bob);
    pair.deliver(pair.bob); // alice's commitment_signed came; bob's, and his revoke_and_ack, did not.
    reconnected(pair);
    expect(types(pair.alice)).toEqual([]);
    expect(types(pair.bob)).toEqual(['update_add_htlc', 'commitment_signed', 'revoke_and_ack']);
    bothHold(pair, 2);
  });

  it('what is said again is lost again, as often as one likes', () => {
    const pair = bothHaveSigned();
    for (let times = 0; times < 5; times++) {
      reconnected(pair);
      pair.deliver(times % 2 === 0 ? pair.alice : pair.bob);
    }
    bothHold(reconnected(pair), 2);
    for (const peer of pair.peers) expect(peer.has('UpdateAddHtlcSent')).toHaveLength(1);
  });

  it('channel_reestablish itself: the next connection begins anew', () => {
    const pair = bothHaveSigned().disconnect().reconnect();
    pair.deliver(pair.alice);
    bothHold(reconnected(pair), 2);
  });

  it('a fee and the commitment_signed that covered it', () => {
    const pair = opened();
    pair.alice.setFee(2_000);
    pair.alice.followUp();
    reconnected(pair);
    expect(types(pair.alice)).toEqual(['channel_ready', 'update_fee', 'commitment_signed']);
    bothHold(pair, 0);
    for (const { established } of pair.peers) expect(established.commitments.fees).toMatchObject([{ feerate_per_kw: 2_000 }]);
  });

  it('a removal and the commitment_signed that covered it: the preimage counts once', () => {
    const pair = opened();
    pair.alice.offer();
    pair.settle();
    pair.bob.fulfill(0n);
    pair.bob.followUp();
    pair.deliver(pair.alice); // Its preimage came, its commitment_signed did not.
    reconnected(pair);
    expect(types(pair.bob)).toEqual(['update_fulfill_htlc', 'commitment_signed']);
    bothHold(pair, 0);
    expect(pair.alice.has('OutgoingHtlcFulfilled')).toHaveLength(1);
  });

  it('the channel_ready of one side: only who is still at its first commitment hears it again', () => {
    const pair = funded();
    for (const peer of pair.peers) confirm(pair, peer);
    pair.deliver(pair.alice); // bob's came, alice's did not.
    expect(pair.peers.map(({ state }) => state.phase)).toEqual(['normal', 'opening']);
    reconnected(pair);
    // BOLT 2: both are at next_commitment_number 1, so both MUST retransmit; the redundant one is ignored.
    expect(pair.peers.map(types)).toEqual([['channel_ready'], ['channel_ready']]);
    bothHold(pair, 0);
    expect(pair.alice.has('ChannelReadyReceived')).toHaveLength(1);
    pair.alice.offer();
    bothHold(pair, 1);
    expect(reconnected(pair).peers.map(types)).toEqual([[], []]);
  });

  it('the shutdown of both, with an HTLC in flight', () => {
    const pair = opened();
    pair.alice.offer();
    pair.settle();
    for (const peer of pair.peers) peer.close();
    reconnected(pair);
    expect(pair.peers.map(types)).toEqual([['shutdown'], ['shutdown']]);
    pair.settle();
    pair.bob.fulfill(0n);
    pair.bob.followUp();
    reconnected(pair);
    expect(types(pair.bob)).toEqual(['update_fulfill_htlc', 'commitment_signed', 'shutdown']);
    pair.settle();
    expect(pair.peers.map(({ state }) => state.phase)).toEqual(['closing', 'closing']);
  });

  it('closing_signed: shutdown is said again, and the negotiation begins anew', () => {
    const pair = opened();
    pair.alice.wantsToClose = true;
    pair.alice.followUp();
    pair.deliver(pair.bob);
    pair.bob.followUp();
    pair.deliver(pair.alice);
    pair.alice.followUp(); // Its first closing_signed, if it is the legacy way.
    reconnected(pair);
    for (const peer of pair.peers) expect(types(peer)).toContain('shutdown');
    pair.settle();
    expect(pair.peers.map(({ state }) => state.phase)).toEqual(['closing', 'closing']);
    expect(pair.peers.flatMap(({ refusals }) => refusals)).toEqual([]);
  });
});

describe('a shutdown that waited for an update which the peer gave up with the connection', () => {
  it('goes on to closing_signed', () => {
    const pair = opened();
    const forgetful = pair.alice.fork();
    pair.alice.setFee(2_000);
    pair.deliver(pair.bob);
    // A hasty peer: BOLT 2 has it sign first.
    pair.bob.close();
    forgetful.close();
    pair.bob.receive(forgetful.outbox[0]!);
    expect(pair.bob.state.phase).toBe('shutdown');
    pair.disconnect();
    forgetful.disconnect();
    new Pair(forgetful, pair.bob).reconnect().settle();
    expect(pair.bob.state).toMatchObject({ phase: 'closing', agreed: { closing_txid: expect.any(String) } });
  });
});

describe('a cut after any message', () => {
  /** Both offer, one fulfils, one fails, the fee changes: some twenty messages. Cut once after `cutAfter` of them. */
  function story(cutAfter: number): { pair: Pair; delivered: number } {
    const pair = opened();
    let delivered = 0;
    const talk = () => {
      for (let quiet = 0; quiet < 2;) {
        quiet++;
        for (const peer of pair.peers) {
          if (delivered === cutAfter) {
            pair.disconnect().reconnect();
            delivered++;
          }
          if (pair.deliver(peer) !== undefined) {
            delivered++;
            quiet = 0;
          }
          peer.followUp();
        }
      }
    };
    pair.alice.offer({ payment: 1 });
    pair.bob.offer({ payment: 2, amount_msat: msat(20_000_000n) });
    talk();
    pair.bob.fulfill(0n, 1);
    pair.alice.fail(0n);
    pair.alice.setFee(1_500);
    talk();
    return { pair, delivered };
  }

  const { delivered } = story(-1);
  it.each(Array.from({ length: delivered + 1 }, (_, cut) => cut))('(%i) changes nothing in the end', (cut) => {
    const { alice, bob } = story(cut).pair;
    expect([...alice.refusals, ...bob.refusals]).toEqual([]);
    expect(alice.established.commitments).toMatchObject({ local_msat: 590_000_000n, remote_msat: 410_000_000n, htlcs: [] });
    expect(bob.established.commitments).toMatchObject({ local_msat: 410_000_000n, remote_msat: 590_000_000n, htlcs: [] });
    for (const peer of [alice, bob]) expect(peer.established.commitments.fees).toMatchObject([{ feerate_per_kw: 1_500 }]);
    expect(alice.has('OutgoingHtlcFulfilled')).toHaveLength(1);
    expect(bob.has('OutgoingHtlcFailed')).toHaveLength(1);
  });
});
