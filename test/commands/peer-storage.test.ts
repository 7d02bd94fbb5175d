/** BOLT 1, peer storage: whose blobs are kept, how many, how often; and that what a peer kept for us is taken before it is replaced. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Message } from '../../src/bolt/messages.ts';
import { point, type Hex, type NodeId } from '../../src/bolt/primitives.ts';
import type { Session } from '../../src/commands/channel-context.ts';
import type { Channels } from '../../src/commands/channels.ts';
import { MAX_PEER_BLOB } from '../../src/bolt/01-messaging/messaging.ts';
import { createPeerStorage, type PeerStorage } from '../../src/commands/peer-storage.ts';

const peer = (index: number): NodeId => point(`02${index.toString(16).padStart(64, '0')}`);
const ALICE = peer(1);

interface Told {
  readonly session: Session;
  readonly said: Message[];
}

let disk: Map<NodeId, Hex>;
let writes: NodeId[];
let phases: Map<NodeId, { readonly phase: string; readonly spend?: { readonly block_height: number } }>;
let height: number;
let ours: Hex | undefined;
let retrieved: Hex[];
let storage: PeerStorage;

beforeEach(() => {
  vi.useFakeTimers();
  [disk, writes, phases, height, ours, retrieved] = [new Map(), [], new Map([[ALICE, { phase: 'normal' }]]), 1000, 'aa'.repeat(MAX_PEER_BLOB), []];
  storage = open();
});
afterEach(() => void vi.useRealTimers());

function open(): PeerStorage {
  return createPeerStorage({
    blobs: {
      peers: () => [...disk.keys()],
      read: (id) => disk.get(id),
      write: async (id, blob) => (disk.set(id, blob), void writes.push(id)),
      remove: async (id) => void disk.delete(id),
    },
    channels: { ofPeer: (id: NodeId) => (phases.has(id) ? [{ state: { commitments: {}, ...phases.get(id) } }] : []) } as unknown as Channels,
    height: () => height,
    ours: () => ours,
    onRetrieved: async (blob) => (retrieved.push(blob), blob === 'bad0' ? 'not_ours' : 'ours'),
    log: () => undefined,
  });
}

function session(peer_id = ALICE, provides = true): Told {
  const said: Message[] = [];
  return { said, session: { peer_id, features: new Set(provides ? ['option_provide_storage' as const] : []), send: (message) => (said.push(message), true), close: () => undefined } };
}

const give = (blob: Hex, { session: from }: Told): void => void storage.onMessage({ type: 'peer_storage', blob, tlvs: {} }, from);
const later = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const types = ({ said }: Told): string[] => said.map(({ type }) => type);

describe('blobs of peers', () => {
  it('are kept, replaced by the newest, and given back at each connection, before anything else', async () => {
    const first = session();
    storage.onConnected(first.session);
    expect(types(first)).toEqual([]);
    give('01', first);
    await later(0);
    expect(disk.get(ALICE)).toBe('01');
    const second = session();
    storage.onConnected(second.session);
    expect(second.said).toEqual([{ type: 'peer_storage_retrieval', blob: '01', tlvs: {} }]);
  });

  it('are written once a minute however often they come, the newest of them; nothing is lost at the end', async () => {
    const told = session();
    for (let index = 0; index < 500; index++) give(index.toString(16).padStart(4, '0'), told);
    await later(59_000);
    expect([writes.length, disk.get(ALICE)]).toEqual([1, '01f3']);
    give('beef', told);
    const back = session();
    storage.onConnected(back.session);
    expect(back.said, 'the newest, whether it is on the disk or not').toMatchObject([{ blob: 'beef' }]);
    await storage.stop();
    expect(disk.get(ALICE)).toBe('beef');
  });

  it('of strangers, and larger ones than BOLT 1 allows, are refused with both values', async () => {
    const stranger = session(peer(2));
    give('01', stranger);
    const known = session();
    give('00'.repeat(MAX_PEER_BLOB + 1), known);
    await later(60_000);
    expect(disk.size).toBe(0);
    expect([...stranger.said, ...known.said].map((message) => (message.type === 'warning' ? Buffer.from(message.data, 'hex').toString() : message.type))).toEqual([
      'peer_storage was not kept: expected an open channel with the sender, got none',
      'peer_storage was not kept: expected at most 65531 bytes, got 65532',
    ]);
  });

  it('are of 1,000 peers at most', async () => {
    for (let index = 10; index < 1_011; index++) {
      phases.set(peer(index), { phase: 'normal' });
      give('01', session(peer(index)));
    }
    await later(0);
    expect(disk.size).toBe(1_000);
  });

  it('stay 2,016 blocks after the last channel has closed', async () => {
    give('01', session());
    await later(0);
    phases.set(ALICE, { phase: 'closed', spend: { block_height: 1_100 } });
    for (const [at, kept] of [[3_115, 1], [3_116, 0]] as const) {
      height = at;
      storage.onBlock();
      await later(0);
      expect([at, disk.size]).toEqual([at, kept]);
    }
  });
});

describe('our backup', () => {
  it('replaces what a peer kept only once that has been taken in', async () => {
    const told = session();
    storage.onConnected(told.session);
    expect(types(told)).toEqual([]);
    await storage.onMessage({ type: 'peer_storage_retrieval', blob: 'cc', tlvs: {} }, told.session);
    expect(retrieved).toEqual(['cc']);
    expect(told.said).toEqual([{ type: 'peer_storage', blob: ours, tlvs: {} }]);
  });

  it('is sent to a peer that had nothing, after a moment; and again when it changes, once a minute', async () => {
    const told = session();
    storage.onConnected(told.session);
    await later(2_000);
    expect(types(told)).toEqual(['peer_storage']);
    for (let times = 0; times < 10; times++) storage.changed();
    await later(59_000);
    expect(types(told)).toHaveLength(1);
    await later(1_000);
    expect(types(told)).toHaveLength(2);
    await later(600_000);
    expect(types(told)).toHaveLength(2);
  });

  it('goes to nobody who offers no storage, has no channel with us, or has left', async () => {
    const [none, stranger, gone] = [session(ALICE, false), session(peer(2)), session()];
    for (const each of [none, stranger, gone]) storage.onConnected(each.session);
    storage.onDisconnected(gone.session);
    await later(10_000);
    expect([none, stranger, gone].flatMap(types)).toEqual([]);
  });

  it('is looked at once on a connection, however often it comes: a peer has one to give back', async () => {
    const told = session();
    storage.onConnected(told.session);
    for (let n = 0; n < 5; n++) await storage.onMessage({ type: 'peer_storage_retrieval', blob: 'bad0', tlvs: {} }, told.session);
    expect(retrieved).toEqual(['bad0']);
    expect(types(told).filter((type) => type === 'warning')).toHaveLength(1);
  });

  it('that is not ours is told so', async () => {
    const told = session();
    storage.onConnected(told.session);
    await storage.onMessage({ type: 'peer_storage_retrieval', blob: 'bad0', tlvs: {} }, told.session);
    expect(types(told)).toEqual(['warning', 'peer_storage']);
  });
});
