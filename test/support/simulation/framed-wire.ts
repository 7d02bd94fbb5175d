/** A connection between two machines over the real framing (BOLT 8) and the real connection (BOLT 1): a stream of bytes each way, that may end after any byte. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { openConnection, type PeerConnection } from '../../../src/adapters/peer/connection.ts';
import type { Timers } from '../../../src/adapters/peer/options.ts';
import { FrameDecoder } from '../../../src/bolt/08-transport/cipher.ts';
import type { TransportKeys } from '../../../src/bolt/08-transport/noise.ts';
import { decodeMessage } from '../../../src/bolt/messages.ts';
import { concatBytes, fromHex } from '../../../src/bolt/primitives.ts';
import type { Session } from '../../../src/commands/channel-context.ts';
import { OUR_FEATURES } from '../../../src/node.ts';
import { hash } from '../words.ts';
import { NETWORK } from './identities.ts';
import { NETWORKS } from '../../../src/bolt/networks.ts';
import type { Life } from './life.ts';
import type { Joint, WireWorld } from './wire.ts';

/** How many bytes each end may send before the wire holds the rest back: [left, right]. */
export type Limits = readonly [number, number];
export const NO_LIMITS: Limits = [Infinity, Infinity];

/** One message on the wire, and how many bytes of its direction have passed with its last one. */
export interface Frame {
  readonly type: string;
  readonly end: number;
}

/** Nobody falls asleep in a simulation. */
const NO_TIMERS: Timers = { setTimeout: () => undefined, clearTimeout: () => undefined };

export class FramedWire implements Joint {
  readonly #world: WireWorld;
  readonly #streams: readonly [OneWay, OneWay];
  readonly #sockets: readonly [EndSocket, EndSocket];
  #cut = false;

  constructor(left: Life, right: Life, world: WireWorld, limits: Limits = NO_LIMITS, onHeld: () => void = () => undefined) {
    this.#world = world;
    this.#streams = [new OneWay(left, limits[0], onHeld), new OneWay(right, limits[1], onHeld)];
    this.#sockets = [new EndSocket(this.#streams[0]), new EndSocket(this.#streams[1])];
    this.#streams[0].to = this.#sockets[1];
    this.#streams[1].to = this.#sockets[0];
    for (const socket of this.#sockets) socket.once('close', () => this.cut());
    this.#open(left, right, 0);
    this.#open(right, left, 1);
  }

  get isCut(): boolean {
    return this.#cut;
  }

  /** Bytes wait behind a limit. */
  get holds(): boolean {
    return !this.#cut && this.#streams.some(({ held }) => held > 0);
  }

  /** What came through so far, each way. */
  get frames(): readonly [readonly Frame[], readonly Frame[]] {
    return [framesOf(this.#streams[0].passed, 0), framesOf(this.#streams[1].passed, 1)];
  }

  /** What is held back is lost; both ends learn of it. */
  cut(): void {
    if (this.#cut) return;
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#world.onCut();
  }

  /** As main.ts admits a connection; the handshake has stories of its own. */
  #open(own: Life, peer: Life, end: 0 | 1): void {
    const keys = { nodeId: own.node_id, nodeEcdh: () => new Uint8Array(32) };
    const options = { keys, features: OUR_FEATURES, chain_hashes: [NETWORKS[NETWORK].chain_hash], timers: NO_TIMERS };
    const socket = this.#sockets[end] as unknown as Socket;
    void openConnection(socket, { remoteNodeId: peer.node_id, keys: keysOfEnd(end) }, options).then((connection) => admit(own, peer, connection), () => undefined);
  }
}

function admit(own: Life, peer: Life, connection: PeerConnection): void {
  if (!own.alive) return;
  const session: Session = {
    peer_id: peer.node_id,
    features: connection.features,
    send: (message) => own.alive && connection.send(message),
    close: (code, detail) => connection.close('closed_by_us', `${code}: ${detail}`),
  };
  own.node.inbox.connected(session);
  connection.onMessage((message) => {
    own.log(`<- ${message.type}`);
    return own.alive ? own.node.inbox.receive(message, session) : undefined;
  });
  connection.onClose(() => own.alive && own.node.inbox.disconnected(session));
}

/** Both ends know both keys: what a handshake would have brought. */
function keysOfEnd(end: 0 | 1): TransportKeys {
  const [left, right] = ['left', 'right'].map((side) => fromHex(hash(`sending key of ${side}`))) as [Uint8Array, Uint8Array];
  const chainingKey = fromHex(hash('chaining key'));
  return end === 0 ? { sendingKey: left, receivingKey: right, chainingKey } : { sendingKey: right, receivingKey: left, chainingKey };
}

function framesOf(chunks: readonly Uint8Array[], sender: 0 | 1): readonly Frame[] {
  const { sendingKey, chainingKey } = keysOfEnd(sender);
  const decoder = new FrameDecoder(sendingKey, chainingKey);
  const frames: Frame[] = [];
  const bytes = concatBytes(...chunks);
  for (let end = 1; end <= bytes.length; end++) {
    decoder.push(bytes.subarray(end - 1, end));
    const frame = decoder.next();
    if (frame !== undefined) frames.push({ type: decodeMessage(frame).type, end });
  }
  return frames;
}

/** The bytes of one direction: so many pass, the rest is held. */
class OneWay {
  readonly passed: Uint8Array[] = [];
  held = 0;
  to!: EndSocket;
  readonly #from: Life;
  readonly #onHeld: () => void;
  #room: number;

  constructor(from: Life, limit: number, onHeld: () => void) {
    this.#from = from;
    this.#room = limit;
    this.#onHeld = onHeld;
  }

  carry(chunk: Uint8Array): void {
    if (!this.#from.alive) return;
    const free = chunk.subarray(0, this.#room);
    this.#room -= free.length;
    if (free.length > 0) {
      this.passed.push(Uint8Array.from(free));
      if (!this.to.destroyed) this.to.push(Uint8Array.from(free));
    }
    this.held += chunk.length - free.length;
    if (this.held > 0) this.#onHeld();
  }
}

/** As much of a socket as a connection asks for. */
class EndSocket extends Duplex {
  readonly #way: OneWay;

  constructor(way: OneWay) {
    super({ allowHalfOpen: false });
    this.#way = way;
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#way.carry(chunk);
    done();
  }

  override _read(): void {
    // Bytes come by themselves.
  }

  override _final(done: () => void): void {
    this.#way.to.push(null);
    done();
  }
}
