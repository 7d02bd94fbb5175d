/** Safety 01: a stranger names an outpoint that is its own, spends it, and marks the spend as a commitment. It says nothing of our log. */
import { afterEach, expect, it } from 'vitest';
import { createRegtestChain } from '../../../src/adapters/chain/regtest.ts';
import { commitmentLocktime, commitmentSequence, obscureCommitmentNumber } from '../../../src/bolt/03-transactions/obscured-number.ts';
import { p2wsh } from '../../../src/bolt/03-transactions/scripts.ts';
import { serialize } from '../../../src/bolt/03-transactions/tx.ts';
import type { Message, MessageOf } from '../../../src/bolt/messages.ts';
import { sat } from '../../../src/bolt/primitives.ts';
import { isEstablished } from '../../../src/domain/channel/state.ts';
import { Stranger } from '../../support/stranger.ts';
import { Wired } from '../../support/wired-nodes.ts';
import { hash } from '../../support/words.ts';

let ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

const isSigned = (message: Message): message is MessageOf<'funding_signed'> => message.type === 'funding_signed';

/** Spent by whoever likes: `OP_1`. */
const ANYBODY = '51';

it.each([
  ['one that we have never signed', 5n],
  ['no commitment at all', undefined],
])('safety 01: a spend that looks like %s ends the stranger\'s channel, and nothing else', async (_what, number) => {
  const chain = createRegtestChain();
  const bob = await new Wired('bob', chain).start();
  ends.push(() => chain.close(), () => bob.stop());
  const honest = new Stranger('honest', bob.node);
  await honest.say((await honest.open())(hash('a funding to come'), 0));
  await honest.hears(isSigned);

  const mallory = new Stranger('mallory', bob.node);
  const counterfeit = chain.fund(p2wsh(ANYBODY), sat(100_000));
  await mallory.say((await mallory.open())(counterfeit.txid, counterfeit.output_index));
  await mallory.hears(isSigned);
  const stateOf = ({ session }: Stranger) => bob.node.channels().find(({ stream }) => stream.includes(session.peer_id))!.state;
  const state = stateOf(mallory);
  if (!isEstablished(state)) throw new Error(state.phase);
  const { local, remote } = state.terms;
  const marks = number === undefined ? undefined : obscureCommitmentNumber(number, remote.keys.payment_basepoint, local.keys.payment_basepoint);
  const spend = serialize({
    version: 2,
    locktime: marks === undefined ? 0 : commitmentLocktime(marks),
    inputs: [{ txid: counterfeit.txid, index: counterfeit.output_index, sequence: marks === undefined ? 0xffff_fffd : commitmentSequence(marks) }],
    outputs: [{ value: sat(99_000), script_pubkey: p2wsh(ANYBODY) }],
  }, [[ANYBODY]]);
  expect(await chain.broadcast(spend)).toEqual({ ok: true });
  chain.mineBlocks(1);
  await bob.node.reached((await chain.tip()).height);
  await bob.node.settled();

  expect(bob.node.recovery()).toBeUndefined();
  expect(stateOf(honest)).toMatchObject({ phase: 'opening', step: 'funded' });
  expect(stateOf(mallory)).toMatchObject({ phase: 'abandoned', code: 'funding_script_differs' });
});
