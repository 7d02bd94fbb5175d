/** BOLT 1, "The ping and pong Messages": answers pings, and asks a silent peer whether it is still there. */
import type { Message, MessageOf } from '../../bolt/messages.ts';
import { PeerError } from './options.ts';
import type { PeerLimits, Timers } from './options.ts';

/** From here on, `num_pong_bytes` asks for no answer. */
const NO_PONG = 65532;
const PONG_BYTES = 8;

export interface KeepaliveHost {
  send(message: Message): void;
  /** True while we do not read: silence is then our own. */
  isPaused(): boolean;
  onDead(reason: PeerError): void;
}

export class Keepalive {
  readonly #host: KeepaliveHost;
  readonly #limits: PeerLimits;
  readonly #timers: Timers;
  #timer: unknown;
  #heard = true;

  constructor(host: KeepaliveHost, limits: PeerLimits, timers: Timers) {
    this.#host = host;
    this.#limits = limits;
    this.#timers = timers;
  }

  start(): void {
    this.#wait(() => this.#checkIdle(), this.#limits.idleBeforePingMs);
  }

  stop(): void {
    this.#timers.clearTimeout(this.#timer);
  }

  /** Any message is a sign of life. */
  heard(): void {
    this.#heard = true;
  }

  answer({ num_pong_bytes }: MessageOf<'ping'>): void {
    if (num_pong_bytes >= NO_PONG) return;
    this.#host.send({ type: 'pong', ignored: '00'.repeat(num_pong_bytes), tlvs: {} });
  }

  #checkIdle(): void {
    if (this.#isAlive()) return this.start();
    this.#host.send({ type: 'ping', num_pong_bytes: PONG_BYTES, ignored: '', tlvs: {} });
    this.#wait(() => this.#checkPong(), this.#limits.pongTimeoutMs);
  }

  #checkPong(): void {
    if (this.#isAlive()) return this.start();
    const { idleBeforePingMs, pongTimeoutMs } = this.#limits;
    this.#host.onDead(
      new PeerError('ping_timeout', `silent for ${idleBeforePingMs} ms, and for ${pongTimeoutMs} ms after a ping`),
    );
  }

  /** Heard of since the last look? */
  #isAlive(): boolean {
    const alive = this.#heard || this.#host.isPaused();
    this.#heard = false;
    return alive;
  }

  #wait(callback: () => void, milliseconds: number): void {
    this.#timer = this.#timers.setTimeout(callback, milliseconds);
  }
}
