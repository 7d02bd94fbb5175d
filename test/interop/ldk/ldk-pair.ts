/** Two LDK processes with one anchors channel between them, on a chain that is nothing but chained headers: what a bench needs. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { hash256 } from '../../../src/bolt/crypto.ts';
import { concatBytes, fromHex, type Hex, msat, type Sat, sat, toHex, toHex32 } from '../../../src/bolt/primitives.ts';
import { serialize, type UnsignedTx } from '../../../src/bolt/03-transactions/tx.ts';
import { until } from '../../../src/playground/waiting.ts';
import type { LdkBlock } from './ldk-node.ts';
import { type LdkProcess, startLdk } from './ldk-process.ts';

export interface LdkPair {
  readonly payer: LdkProcess;
  readonly payee: LdkProcess;
  stop(): Promise<void>;
}

const CAPACITY = sat(10_000_000);
/** The payee's reserve, and something on top. */
const PUSHED = msat(200_000_000);
const DEPTH = 6;

/** Their files go into `folder`: each update of a channel is appended and flushed before LDK goes on. `program`: the child's, compiled. */
export async function startLdkPair(folder: string, program?: string): Promise<LdkPair> {
  const broadcast: Hex[] = [];
  const start = (name: string) => startLdk(name, { folder: join(folder, name), persist: 'update' }, {
    program,
    broadcast: (transactions) => void broadcast.push(...transactions),
    fund: async (script_pubkey, value) => fundingTransaction(script_pubkey, value),
  });
  const [payer, payee] = await Promise.all([start('payer'), start('payee')]);
  const mineOn = createHeaders();
  const mine = async (transactions: readonly Hex[] = []): Promise<void> => {
    const block = mineOn(transactions);
    await Promise.all([payer.connectBlocks([block]), payee.connectBlocks([block])]);
  };
  await mine();
  const peer = await payee.about();
  await payer.connect(peer);
  await payer.openChannel({ peer_id: peer.node_id, funding_satoshis: CAPACITY, push_msat: PUSHED, announce: false });
  await until('the funding transaction of LDK', () => (broadcast.length > 0 ? [] : ['a broadcast']));
  await mine(broadcast);
  for (let depth = 1; depth < DEPTH; depth++) await mine();
  await until('a usable channel of LDK', async () => (await Promise.all([payer.channels(), payee.channels()])).flatMap(([channel]) => (channel?.usable === true && channel.format === 'anchors_zero_fee_htlc_tx' ? [] : [JSON.stringify(channel?.format)])));
  return { payer, payee, stop: async () => void (await Promise.all([payer.kill(), payee.kill()])) };
}

/** LDK looks at outputs only; that the coin does not exist is no matter on this chain. */
function fundingTransaction(script_pubkey: Hex, value: Sat): Hex {
  const transaction: UnsignedTx = { version: 2, locktime: 0, inputs: [{ txid: toHex32(randomBytes(32)), index: 0, sequence: 0xffffffff }], outputs: [{ value, script_pubkey }] };
  return serialize(transaction, [['ff']]);
}

const REGTEST_GENESIS = '06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f';

/** Each header stands on the one before; nobody asks for work. */
function createHeaders(): (transactions: readonly Hex[]) => LdkBlock {
  let [previous, height] = [fromHex(REGTEST_GENESIS), 0];
  return (transactions) => {
    const ends = new Uint8Array(12);
    const view = new DataView(ends.buffer);
    view.setUint32(0, Math.floor(Date.now() / 1000), true);
    view.setUint32(4, 0x207fffff, true);
    const header = concatBytes(Uint8Array.of(1, 0, 0, 0), previous, randomBytes(32), ends);
    previous = hash256(header);
    return { height: ++height, header: toHex(header), transactions };
  };
}
