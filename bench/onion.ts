/** BOLT 4: an onion built for the longest route, and one layer of it peeled. */
import { randomBytes } from 'node:crypto';
import { buildOnion, onionEphemeralKey, peelOnion } from '../src/bolt/04-onion-routing/sphinx.ts';
import { crypto } from '../src/bolt/crypto.ts';
import { fromHex, toPoint } from '../src/bolt/primitives.ts';
import { type Bench, type Row, type Timing, timeSync } from './bench.ts';

const HOPS = 20;
/** As long as a usual forward's: short_channel_id, amount and expiry. */
const PAYLOAD = '02'.repeat(20);

export const onionBench: Bench = {
  name: 'onion',
  about: `Building a packet of ${HOPS} hops from a session key; peeling its first layer, ECDH included.`,
  async run() {
    const keys = Array.from({ length: HOPS }, () => randomBytes(32));
    const hops = keys.map((key) => ({ node_id: toPoint(crypto().publicKey(key)), payload: PAYLOAD }));
    const associated_data = new Uint8Array(32).fill(7);
    const session_key = randomBytes(32);
    const build = () => buildOnion({ session_key, hops, associated_data });
    const { packet } = build();
    const peel = () => {
      const shared = crypto().multiplyPoint(fromHex(onionEphemeralKey(packet)!), keys[0]!);
      return peelOnion({ packet, associated_data, sharedSecret: crypto().sha256(shared) });
    };
    if (!peel().ok) throw new Error('the onion of this bench does not peel');
    return [...rowsOf(`build, ${HOPS} hops`, timeSync(build)), ...rowsOf('peel', timeSync(peel))];
  },
};

const rowsOf = (what: string, { perSecond, p50, p99 }: Timing): Row[] => [
  { what, value: perSecond, unit: '/s' },
  { what: `${what}, p50`, value: p50, unit: 'ms' },
  { what: `${what}, p99`, value: p99, unit: 'ms' },
];
