/** The wire between two residents: messages as bytes, in order; it can be cut, and one direction can fall silent from a message on. */
import { decodeMessage, encodeMessage, type Message } from '../../../src/bolt/messages.ts';
import type { Session } from '../../../src/commands/channel-context.ts';
import type { AssembledNode } from '../../../src/node.ts';
import type { Resident } from './resident.ts';
import type { World } from './world.ts';

export interface Link {
  /** From the first message that fits, nothing more reaches `to`; it is as if the network were slow for ever. */
  withhold(to: Resident, fits: (message: Message) => boolean): void;
  cut(): void;
}

interface End {
  readonly resident: Resident;
  readonly node: AssembledNode;
  readonly session: Session;
  readonly coming: Uint8Array[];
  silent: boolean;
  pumping: boolean;
  withheld?: (message: Message) => boolean;
}

export function connect(world: World, a: Resident, b: Resident): Link {
  const wire = { open: true };
  const ends: [End, End] = [endOf(a, b, 1), endOf(b, a, 0)];
  const unwatch = world.watch(() => ends.filter(({ pumping }) => pumping).map(({ resident }) => `messages wait for ${resident.name}`));

  function endOf(resident: Resident, peer: Resident, other: 0 | 1): End {
    const session: Session = { peer_id: peer.node.node_id, send: (message) => send(message, other), close: () => cut() };
    return { resident, node: resident.node, session, coming: [], silent: false, pumping: false };
  }

  function send(message: Message, to: 0 | 1): boolean {
    const end = ends[to];
    if (!wire.open) return false;
    end.silent ||= end.withheld?.(message) === true;
    if (end.silent) return true;
    end.coming.push(encodeMessage(message));
    if (!end.pumping) void pump(end);
    return true;
  }

  async function pump(end: End): Promise<void> {
    end.pumping = true;
    await Promise.resolve();
    while (wire.open && end.coming.length > 0) await end.node.inbox.receive(decodeMessage(end.coming.shift()!) as Message, end.session);
    end.pumping = false;
  }

  function cut(): void {
    if (!wire.open) return;
    wire.open = false;
    unwatch();
    for (const { node, session } of ends) node.inbox.disconnected(session);
  }

  for (const { node, session } of ends) node.inbox.connected(session);
  return {
    withhold(to, fits) {
      ends.find(({ resident }) => resident === to)!.withheld = fits;
    },
    cut,
  };
}
