/** Encrypted frames over a socket, bounded both ways: what cannot be read yet waits in the kernel, what is not sent is counted. */
import type { Socket } from 'node:net';
import { CipherError, FrameDecoder, FrameEncoder } from '../../bolt/08-transport/cipher.ts';
import type { TransportKeys } from '../../bolt/08-transport/noise.ts';
import { PeerError } from './options.ts';

export interface FrameListener {
  /** One decrypted message. May call `pause`, after which no further frame is delivered until `resume`. */
  onFrame(message: Uint8Array): void;
  /** The stream ended or broke. Called at most once, and not after `end`. */
  onLost(reason: PeerError): void;
}

export class FrameSocket {
  readonly #socket: Socket;
  readonly #encoder: FrameEncoder;
  readonly #decoder: FrameDecoder;
  readonly #listener: FrameListener;
  #reading = true;
  #corked = false;
  #ended = false;
  #failure = 'the peer hung up';

  constructor(socket: Socket, keys: TransportKeys, listener: FrameListener) {
    this.#socket = socket;
    this.#listener = listener;
    this.#encoder = new FrameEncoder(keys.sendingKey, keys.chainingKey);
    this.#decoder = new FrameDecoder(keys.receivingKey, keys.chainingKey);
    socket.on('data', (chunk: Uint8Array) => this.#receive(chunk));
    socket.on('error', (error) => (this.#failure = error.message));
    socket.on('close', () => this.#hungUp());
    if (socket.destroyed) queueMicrotask(() => this.#hungUp());
    socket.resume();
  }

  /** Bytes that are encrypted and not yet with the operating system. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  get paused(): boolean {
    return !this.#reading;
  }

  /** Frames that are sent one after the other, with nothing awaited in between, leave in one write. */
  send(message: Uint8Array): void {
    if (!this.#corked) this.#cork();
    this.#socket.write(this.#encoder.encrypt(message));
  }

  pause(): void {
    this.#reading = false;
    this.#socket.pause();
  }

  resume(): void {
    if (this.#ended) return;
    this.#reading = true;
    this.#deliver();
    if (this.#reading) this.#socket.resume();
  }

  /** Lets what was sent leave, hears nothing more, and is gone after `lingerMs` at the latest. */
  end(lingerMs: number): void {
    if (this.#ended) return;
    this.#ended = true;
    // Unread bytes would make the kernel reset the connection and drop our last message: read on, and forget.
    this.#socket.resume();
    this.#socket.end();
    const linger = setTimeout(() => this.#socket.destroy(), lingerMs);
    this.#socket.once('close', () => clearTimeout(linger));
  }

  #cork(): void {
    this.#corked = true;
    this.#socket.cork();
    queueMicrotask(() => {
      this.#corked = false;
      this.#socket.uncork();
    });
  }

  #receive(chunk: Uint8Array): void {
    if (this.#ended) return;
    this.#decoder.push(chunk);
    if (this.#reading) this.#deliver();
  }

  #deliver(): void {
    try {
      for (let frame = this.#next(); frame !== undefined; frame = this.#next()) this.#listener.onFrame(frame);
    } catch (error) {
      if (!(error instanceof CipherError)) throw error;
      this.#lose(new PeerError(error.code, error.message));
      this.#socket.destroy();
    }
  }

  #next(): Uint8Array | undefined {
    return this.#reading && !this.#ended ? this.#decoder.next() : undefined;
  }

  #hungUp(): void {
    this.#lose(new PeerError('connection_lost', this.#failure));
  }

  #lose(reason: PeerError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#listener.onLost(reason);
  }
}
