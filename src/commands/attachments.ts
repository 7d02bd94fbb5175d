/** A store that remembers the attachments of its newest appends: an onion is wanted again a millisecond after it was kept. */
import type { Hex, Hex32 } from '../bolt/primitives.ts';
import type { EventStore } from '../events/store.ts';

/** At 1,366 bytes each, as hex: some 12 MB at most. */
const REMEMBERED = 4096;

/** The same store, with its newest attachments at hand. Bounded. */
export function rememberAttachments(store: EventStore): EventStore & { recall(hash: Hex32): Hex | undefined } {
  const recent = new Map<Hex32, Hex>();
  const remember = (hash: Hex32, bytes: Hex) => {
    recent.set(hash, bytes);
    if (recent.size > REMEMBERED) recent.delete(recent.keys().next().value!);
  };
  return {
    name: store.name,
    read: (stream, from) => store.read(stream, from),
    readAll: (from) => store.readAll(from),
    append(stream, expected, events, cause, attachments = []) {
      for (const { hash, bytes } of attachments) remember(hash, bytes);
      return store.append(stream, expected, events, cause, attachments);
    },
    subscribe: (after) => store.subscribe(after),
    ...(store.onAhead === undefined ? {} : { onAhead: store.onAhead.bind(store) }),
    attachment: async (hash) => recent.get(hash) ?? store.attachment(hash),
    loadCursor: (name) => store.loadCursor(name),
    saveCursor: (name, position) => store.saveCursor(name, position),
    head: () => store.head(),
    close: () => store.close(),
    recall: (hash) => recent.get(hash),
  };
}
