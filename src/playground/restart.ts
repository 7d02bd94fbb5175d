/** A node dies as by a power cut while it forwards a payment, and finishes it after it has read its log again. */
import { msat } from '../bolt/primitives.ts';
import type { Name } from './cast.ts';
import type { Network } from './network.ts';
import { missingFromGraphs } from './opening.ts';
import { describe, enter, invoiceOf } from './payments.ts';
import type { Stage } from './story.ts';
import { until, within } from './waiting.ts';

/** Kills `victim` once it owes the next node the HTLC of a payment from alice to dave, and starts it again. */
export async function restartInFlight(stage: Stage, victim: Name): Promise<void> {
  const { network, books, tally, say } = stage;
  const wish = { from: 'alice', to: 'dave', amount_msat: msat(41_000_123) } as const;
  const bolt11 = await invoiceOf(network, wish);
  const forwarding = whenItForwards(network, victim);
  let ended = false;
  const paying = network.node('alice').pay({ bolt11 }).finally(() => (ended = true));
  paying.catch(() => undefined); // Awaited below, unless the kill itself goes wrong.
  await within(`${victim} forwarding ${describe(wish)}`, forwarding.seen);
  await network.kill(victim);
  say(`${victim} was killed with a payment ${ended ? 'just done' : 'in flight'}`);
  const across = !ended;
  const { length: channels } = (await network.start(victim)).channels();
  await enter(stage, wish, await within(`${describe(wish)}, after ${victim} came back`, paying, 30_000));
  await whenUsable(network, stage);
  await network.quiet();
  books.compare(network);
  tally.restarts += 1;
  if (across) tally.payments_across_restart += 1;
  say(`${victim} is back from its log, with ${channels} channels${across ? '; the payment went on and succeeded' : ''}`);
}

/** `seen` resolves once an HTLC is owed to the next node: durable, and perhaps not yet sent. Readers of the log would hear of it when the payment is over. */
function whenItForwards(network: Network, name: Name): { readonly seen: Promise<unknown> } {
  const { store } = network.node(name);
  const seen = new Promise((resolve, reject) => {
    const deaf = store.onAhead!(({ events, written }) => {
      if (!events.some(({ type }) => type === 'UpdateAddHtlcSent')) return;
      deaf();
      written.then(resolve, reject);
    });
  });
  return { seen };
}

/** Channels of a node that came back carry payments again after channel_reestablish. */
async function whenUsable(network: Network, { channels }: Stage): Promise<void> {
  await until('channel_reestablish on every channel', () =>
    network.all().flatMap((node) => node.channels().filter(({ usable }) => !usable).map(({ stream }) => `${stream} of ${node.name}`)));
  await until('the graph of every node', () => missingFromGraphs(network, channels));
}
