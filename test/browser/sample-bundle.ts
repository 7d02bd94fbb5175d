/** A small honest log as a bundle: a node that starts, and an invoice of its own; signed as any log is. */
import { crypto } from '../../src/bolt/crypto.ts';
import { type Msat, fromHex, hex32, point, toHex, toHex32, toSignature } from '../../src/bolt/primitives.ts';
import { writeBundle } from '../../src/events/bundle.ts';
import { logKeyStatement, originOf, signCheckpoint } from '../../src/events/checkpoint.ts';
import { type SealedEntry, ZERO_HASH, sealEvents } from '../../src/events/envelope.ts';
import { createMerkleTree } from '../../src/events/merkle.ts';
import type { Event } from '../../src/events/registry.ts';

const nodeKey = fromHex('11'.repeat(32));
const logSeed = fromHex('22'.repeat(32));
const publicKey = crypto().ed25519PublicKey(logSeed);
const claim = {
  node_id: point(toHex(crypto().publicKey(nodeKey))),
  chain_hash: hex32('06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f'),
  log_public_key: toHex(publicKey),
};
const signature = toSignature(crypto().sign(logKeyStatement(claim), nodeKey));

const nodeFacts: readonly Event[] = [
  { type: 'NodeInitialized', ...claim, alias: 'alice', network: 'bitcoin-regtest', signature },
  { type: 'NodeStarted', version: '0.1.0', crypto_backend: 'noble (JavaScript)' },
];

const invoiceFacts: readonly Event[] = [
  {
    type: 'InvoiceCreated',
    payment_hash: hex32('ab'.repeat(32)),
    payment_secret_hash: hex32('cd'.repeat(32)),
    nonce: hex32('ef'.repeat(32)),
    amount_msat: 1_000n as Msat,
    description: 'a coffee, 3 € or so',
    created_at: 1_767_225_600,
    expiry: 3_600,
    min_final_cltv_expiry_delta: 18,
  },
];

/** The bundle's text, and the entries in it. */
export async function sampleBundle(): Promise<{ readonly text: string; readonly entries: readonly string[] }> {
  const sealed = [...seal('node', nodeFacts), ...seal(`invoice-${'ab'.repeat(32)}`, invoiceFacts)];
  const entries = sealed.map(({ entry }) => entry);
  const header = { node_id: claim.node_id, log_public_key: claim.log_public_key, size: entries.length };
  let text = '';
  for await (const line of writeBundle(header, entries, [checkpointOver(sealed)])) text += line;
  return { text, entries };
}

function seal(stream: string, events: readonly Event[]): readonly SealedEntry[] {
  const id = toHex32(crypto().sha256(new TextEncoder().encode(stream)));
  const cause = { command_id: id, correlation_id: id };
  return sealEvents({ stream, firstRevision: 0n, previousHash: ZERO_HASH, cause, recorded_at: '2026-01-01T00:00:00.000Z', events });
}

function checkpointOver(sealed: readonly SealedEntry[]): string {
  const tree = createMerkleTree();
  for (const { leaf } of sealed) tree.append(leaf);
  return signCheckpoint({ origin: originOf(claim.node_id), size: sealed.length, root: toHex32(tree.root()) }, { seed: logSeed, publicKey });
}
