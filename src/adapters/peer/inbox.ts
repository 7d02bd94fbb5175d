/** Messages from one peer on their way to one handler: one at a time, in order, and never more bytes than the bound. */
import type { Message } from '../../bolt/messages.ts';

export type MessageHandler = (message: Message) => void | Promise<void>;

export interface InboxListener {
  /** There is room again, after `full` was true. */
  onSpace(): void;
  /** The handler threw: a bug of ours. Nothing more is delivered. */
  onFailure(error: unknown): void;
}

export class Inbox {
  readonly #limitBytes: number;
  readonly #listener: InboxListener;
  readonly #waiting: { readonly message: Message; readonly bytes: number }[] = [];
  #handler: MessageHandler | undefined;
  #bytes = 0;
  #running = false;
  #whenIdle: (() => void) | undefined;

  constructor(limitBytes: number, listener: InboxListener) {
    this.#limitBytes = limitBytes;
    this.#listener = listener;
  }

  get full(): boolean {
    return this.#bytes >= this.#limitBytes;
  }

  /** Until there is a handler, messages wait. */
  handleWith(handler: MessageHandler): void {
    this.#handler = handler;
    void this.#run();
  }

  /** `bytes` is the message's size on the wire. */
  push(message: Message, bytes: number): void {
    this.#waiting.push({ message, bytes });
    this.#bytes += bytes;
    void this.#run();
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting.length = 0;
    this.#bytes = 0;
  }

  /** Calls back once the handler has seen all that came. */
  afterLast(callback: () => void): void {
    if (this.#running || (this.#waiting.length > 0 && this.#handler !== undefined)) this.#whenIdle = callback;
    else callback();
  }

  async #run(): Promise<void> {
    if (this.#running || this.#handler === undefined) return;
    this.#running = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        const done = this.#handler(next.message);
        if (done instanceof Promise) await done;
        this.#release(next.bytes);
      }
    } catch (error) {
      this.clear();
      this.#listener.onFailure(error);
    }
    this.#running = false;
    this.#whenIdle?.();
    this.#whenIdle = undefined;
  }

  #release(bytes: number): void {
    const wasFull = this.full;
    this.#bytes = Math.max(0, this.#bytes - bytes);
    if (wasFull && !this.full) this.#listener.onSpace();
  }
}
