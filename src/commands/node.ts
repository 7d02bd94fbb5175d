/** The first words of every log: who writes it, by which key its checkpoints are signed, and each start since. */
import { crypto } from '../bolt/crypto.ts';
import { toHex, type Hex32 } from '../bolt/primitives.ts';
import type { Signer } from '../domain/ports.ts';
import { logKeyStatement } from '../events/checkpoint.ts';
import type { NodeEvent } from '../events/node.ts';
import type { EventStore } from '../events/store.ts';
import { commandId } from './dispatch.ts';

export interface NodeIdentity {
  readonly store: EventStore;
  readonly signer: Pick<Signer, 'nodeId' | 'logKeySeed' | 'signAnnouncement'>;
  readonly alias: string;
  readonly network: string;
  readonly chain_hash: Hex32;
  readonly version: string;
  readonly crypto_backend: string;
}

/** A log belongs to one node on one chain. */
export class WrongLog extends Error {
  readonly code = 'wrong_log';
  constructor(what: string, expected: string, got: string) {
    super(`this log is of another ${what}: expected ${expected}, got ${got}`);
    this.name = 'WrongLog';
  }
}

/** Writes NodeInitialized into a new log, or checks that an old one is ours; then notes the start. Throws WrongLog. */
export async function initializeNode(node: NodeIdentity): Promise<void> {
  let last: bigint | 'none' = 'none';
  for await (const { event, revision } of node.store.read('node')) {
    last = revision;
    if (event.type === 'NodeInitialized') check(event, node);
  }
  const { signer, version, crypto_backend } = node;
  const first: NodeEvent[] = last === 'none' ? [initialized(node)] : [];
  const command_id = commandId(`node/${signer.nodeId}/${last}`, 0);
  await node.store.append('node', last, [...first, { type: 'NodeStarted', version, crypto_backend }], { command_id, correlation_id: command_id });
}

function check(event: Extract<NodeEvent, { type: 'NodeInitialized' }>, { signer, chain_hash }: NodeIdentity): void {
  if (event.node_id !== signer.nodeId) throw new WrongLog('node', signer.nodeId, event.node_id);
  if (event.chain_hash !== chain_hash) throw new WrongLog('chain', chain_hash, event.chain_hash);
}

function initialized({ signer, alias, network, chain_hash }: NodeIdentity): NodeEvent {
  const node_id = signer.nodeId;
  const log_public_key = toHex(crypto().ed25519PublicKey(signer.logKeySeed()));
  const signature = signer.signAnnouncement(logKeyStatement({ node_id, chain_hash, log_public_key }));
  return { type: 'NodeInitialized', node_id, alias, network, chain_hash, log_public_key, signature };
}
