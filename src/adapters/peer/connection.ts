/** One authenticated peer: BOLT messages in order both ways, from `init` (BOLT 1) to a stated reason for the end. */
import type { Socket } from 'node:net';
import type { FeatureName } from '../../bolt/09-features/features.ts';
import { combineFeatures, negotiate } from '../../bolt/09-features/features.ts';
import { CodecError } from '../../bolt/codec.ts';
import type { Message, MessageOf, UnknownMessage } from '../../bolt/messages.ts';
import { decodeMessage, encodeMessage } from '../../bolt/messages.ts';
import type { Hex, NodeId } from '../../bolt/primitives.ts';
import { toHex, ZERO_32 } from '../../bolt/primitives.ts';
import { FrameSocket } from './frame-socket.ts';
import type { Authenticated } from './handshake.ts';
import type { MessageHandler } from './inbox.ts';
import { Inbox } from './inbox.ts';
import { Keepalive } from './keepalive.ts';
import type { PeerErrorCode, PeerLimits, PeerOptions } from './options.ts';
import { limitsOf, PeerError, timersOf } from './options.ts';

export type CloseHandler = (reason: PeerError) => void;

/**
 * Says `init` and waits for the peer's. Resolves once both agree on a chain and on features; rejects with PeerError.
 * Takes the socket over: whatever happens, it is closed in the end.
 */
export function openConnection(socket: Socket, peer: Authenticated, options: PeerOptions): Promise<PeerConnection> {
  return new Promise((resolve, reject) => {
    const opening = { opened: () => resolve(connection), failed: reject };
    const connection: PeerConnection = new PeerConnection(socket, peer, options, opening);
  });
}

interface Opening {
  opened(): void;
  failed(reason: PeerError): void;
}

export class PeerConnection {
  readonly remoteNodeId: NodeId;
  readonly #options: PeerOptions;
  readonly #limits: PeerLimits;
  readonly #opening: Opening;
  readonly #frames: FrameSocket;
  readonly #inbox: Inbox;
  readonly #keepalive: Keepalive;
  readonly #initDeadline: unknown;
  #remoteInit: MessageOf<'init'> | undefined;
  #features: ReadonlySet<FeatureName> = new Set();
  #closeReason: PeerError | undefined;
  #reported = false;
  #onClose: CloseHandler | undefined;

  /** Use connectPeer, listenPeers or openConnection. */
  constructor(socket: Socket, { remoteNodeId, keys }: Authenticated, options: PeerOptions, opening: Opening) {
    const timers = timersOf(options);
    this.remoteNodeId = remoteNodeId;
    this.#options = options;
    this.#limits = limitsOf(options);
    this.#opening = opening;
    this.#inbox = new Inbox(this.#limits.inboundQueueBytes, {
      onSpace: () => this.#frames.resume(),
      onFailure: (error) => this.close('handler_failed', String(error)),
    });
    this.#keepalive = new Keepalive(
      {
        send: (message) => this.send(message),
        isPaused: () => this.#frames.paused,
        onDead: (reason) => this.close(reason.code, reason.message),
      },
      this.#limits,
      timers,
    );
    const late = `no init within ${this.#limits.initTimeoutMs} ms`;
    this.#initDeadline = timers.setTimeout(() => this.close('init_timeout', late), this.#limits.initTimeoutMs);
    this.#frames = new FrameSocket(socket, keys, {
      onFrame: (frame) => this.#receive(frame),
      onLost: (reason) => this.#lost(reason),
    });
    this.#write(this.#ourInit());
  }

  /** The peer's `init`, its `remote_addr` included. */
  get remoteInit(): MessageOf<'init'> {
    if (this.#remoteInit === undefined) throw new Error('the connection is not open yet');
    return this.#remoteInit;
  }

  /** All features of the peer, both fields of its init combined. */
  get remoteFeatures(): Hex {
    return combineFeatures(this.remoteInit.globalfeatures, this.remoteInit.features);
  }

  /** What both of us can do. */
  get features(): ReadonlySet<FeatureName> {
    return this.#features;
  }

  /** Why it ended, if it has. */
  get closeReason(): PeerError | undefined {
    return this.#closeReason;
  }

  /** Bytes on their way to the peer: who sends much (gossip) should wait for this to fall. */
  get queuedBytes(): number {
    return this.#frames.queuedBytes;
  }

  /** Queues a message; messages that are sent with nothing awaited in between leave together. False when the connection has ended. */
  send(message: Message): boolean {
    if (this.#closeReason !== undefined || this.#remoteInit === undefined) return false;
    this.#write(message);
    if (this.queuedBytes <= this.#limits.outboundQueueBytes) return true;
    this.close('outbound_queue_full', `${this.queuedBytes} bytes wait for the peer, at most ${this.#limits.outboundQueueBytes} may`);
    return false;
  }

  /**
   * The one handler of this peer's messages: called in order, never for two at a time, the next only when its promise is
   * fulfilled. While it is behind, the peer is not read. Pings, pongs and unknown odd messages do not come here.
   */
  onMessage(handler: MessageHandler): void {
    this.#inbox.handleWith(handler);
  }

  /** Called once, with the reason; at once when it is over already. After the peer hangs up, the last messages come first. */
  onClose(handler: CloseHandler): void {
    this.#onClose = handler;
    if (this.#reported) handler(this.#closeReason!);
  }

  /** Ends the connection. The peer is told the reason if `answer` says how, for all channels unless a message is given. */
  close(code: PeerErrorCode, detail = 'closed by us', answer?: 'warning' | 'error' | MessageOf<'warning' | 'error'>): void {
    if (this.#closeReason !== undefined) return;
    const reason = new PeerError(code, detail);
    if (answer !== undefined) this.#write(typeof answer === 'string' ? complaint(answer, reason.message) : answer);
    this.#inbox.clear();
    this.#frames.end(this.#limits.lingerMs);
    this.#end(reason);
    this.#report();
  }

  #write(message: Message): void {
    this.#frames.send(encodeMessage(message));
  }

  #receive(frame: Uint8Array): void {
    this.#keepalive.heard();
    const message = this.#decode(frame);
    if (message === undefined) return;
    if (this.#remoteInit === undefined) return this.#receiveFirst(message);
    switch (message.type) {
      case 'unknown':
        return this.#receiveUnknown(message);
      case 'ping':
        return this.#keepalive.answer(message);
      case 'pong':
      case 'init':
        return;
      default:
        this.#inbox.push(message, frame.length);
        if (this.#inbox.full) this.#frames.pause();
    }
  }

  #decode(frame: Uint8Array): Message | UnknownMessage | undefined {
    try {
      return decodeMessage(frame);
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      // BOLT 1: a known message with insufficient length or an invalid extension closes the connection.
      this.close('malformed_message', `${error.message} (${error.code})`, 'warning');
      return undefined;
    }
  }

  /** BOLT 1: init is the first message of any connection. */
  #receiveFirst(message: Message | UnknownMessage): void {
    if (message.type !== 'init') return this.close('init_expected', `the first message was ${message.type}`, 'warning');
    const { networks } = message.tlvs;
    const ours = this.#options.chain_hashes;
    if (networks !== undefined && !networks.some((chain) => ours.includes(chain))) {
      return this.close('wrong_network', `you serve ${networks.slice(0, 4).join(', ')}, we serve ${ours.join(', ')}`, 'warning');
    }
    const common = negotiate(this.#options.features, combineFeatures(message.globalfeatures, message.features));
    if (common.ok) this.#open(message, common.features);
    else if (common.code === 'unknown_even_feature') this.#refuseFeatures(common.bits);
    else this.close(common.code, `${common.feature} needs ${common.needs}`, 'warning');
  }

  #open(init: MessageOf<'init'>, features: ReadonlySet<FeatureName>): void {
    this.#remoteInit = init;
    this.#features = features;
    timersOf(this.#options).clearTimeout(this.#initDeadline);
    this.#keepalive.start();
    this.#opening.opened();
  }

  #refuseFeatures(bits: readonly number[]): void {
    this.close('unknown_even_feature', `bits ${bits.slice(0, 8).join(', ')} are required, and we do not offer them`, 'warning');
  }

  // It's ok to be odd.
  #receiveUnknown({ number }: UnknownMessage): void {
    if (number % 2 === 0) this.close('unknown_even_message', `message type ${number} is even and unknown`, 'warning');
  }

  #lost(reason: PeerError): void {
    if (this.#closeReason !== undefined) return;
    this.#end(reason);
    this.#inbox.afterLast(() => this.#report());
  }

  #end(reason: PeerError): void {
    this.#closeReason = reason;
    this.#keepalive.stop();
    timersOf(this.#options).clearTimeout(this.#initDeadline);
    if (this.#remoteInit === undefined) this.#opening.failed(reason);
  }

  #report(): void {
    this.#reported = true;
    this.#onClose?.(this.#closeReason!);
  }

  #ourInit(): Message {
    const { features, chain_hashes } = this.#options;
    return { type: 'init', globalfeatures: '', features, tlvs: { networks: chain_hashes } };
  }
}

/** BOLT 1: a complaint about no channel in particular carries an all-zero channel_id. */
function complaint(type: 'warning' | 'error', text: string): MessageOf<'warning' | 'error'> {
  return { type, channel_id: ZERO_32, data: toHex(new TextEncoder().encode(text.slice(0, 1000))), tlvs: {} };
}
