/** Keeps connections to chosen peers: dials, and dials again with growing pauses, until told to stop. */
import type { NodeId } from '../../bolt/primitives.ts';
import { connectPeer } from './client.ts';
import type { PeerConnection } from './connection.ts';
import type { PeerError, PeerOptions } from './options.ts';

export interface PeerAddress {
  readonly node_id: NodeId;
  readonly host: string;
  readonly port: number;
}

export interface Dialer {
  /** Resolves with the first connection; rejects with PeerError when the first attempt fails, and goes on trying. */
  keep(address: PeerAddress): Promise<void>;
  /** Tries no more. A connection that stands stays. */
  forget(node_id: NodeId): void;
  stop(): void;
}

export interface DialerOptions extends PeerOptions {
  /** True while another connection of this peer (one it made to us, say) serves. */
  readonly isConnected: (node_id: NodeId) => boolean;
  readonly onConnection: (connection: PeerConnection) => void;
  readonly onFailed?: (address: PeerAddress, reason: PeerError) => void;
  /** Pause before the second attempt, ms; it doubles up to maxPauseMs. */
  readonly pauseMs?: number;
  readonly maxPauseMs?: number;
}

/** A connection shorter than this counts as a failed attempt. */
const SHORT_LIVED_MS = 5_000;

export function createDialer(options: DialerOptions): Dialer {
  const { pauseMs = 100, maxPauseMs = 30_000 } = options;
  const kept = new Map<NodeId, PeerAddress>();
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let stopped = false;

  function again(address: PeerAddress, pause: number): void {
    if (stopped || kept.get(address.node_id) !== address) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      void dial(address, pause).catch(() => undefined);
    }, pause);
    timers.add(timer);
  }

  async function dial(address: PeerAddress, pause: number): Promise<void> {
    if (stopped || options.isConnected(address.node_id)) return again(address, pauseMs);
    const next = Math.min(pause * 2, maxPauseMs);
    try {
      const connection = await connectPeer({ ...options, host: address.host, port: address.port, remoteNodeId: address.node_id });
      if (stopped) return connection.close('closed_by_us');
      options.onConnection(connection);
      watch(connection, address, next);
    } catch (error) {
      options.onFailed?.(address, error as PeerError);
      again(address, next);
      throw error;
    }
  }

  /** The connection's owner hears of its end first; we look every now and then. One that ended at once is not hurried back to. */
  function watch(connection: PeerConnection, address: PeerAddress, pause: number): void {
    const since = Date.now();
    const timer = setInterval(() => {
      if (!stopped && connection.closeReason === undefined) return;
      clearInterval(timer);
      timers.delete(timer);
      again(address, Date.now() - since < SHORT_LIVED_MS ? pause : pauseMs);
    }, pauseMs);
    timers.add(timer);
  }

  return {
    async keep(address) {
      kept.set(address.node_id, address);
      await dial(address, pauseMs);
    },
    forget: (node_id) => void kept.delete(node_id),
    stop() {
      stopped = true;
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}
