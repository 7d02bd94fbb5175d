/** BOLT 2, "Channel Close": how long a peer may leave a close unanswered. Counted in blocks: a channel has no other clock. */
import type { BlockHeight } from '../bolt/primitives.ts';
import type { ChannelCommand } from '../domain/channel/commands.ts';
import { CLOSE_PATIENCE, hasTimelyClose } from '../domain/channel/mutual-closes.ts';
import type { ChannelState } from '../domain/channel/state.ts';
import type { Session } from './channel-context.ts';

/** "SHOULD close the connection if it doesn't receive closing_sig": blocks for which closing_complete may wait. */
const SIG_BLOCKS = 2;
/** Told of each block with the connection, if channel_reestablish has passed on it. Forgets with the process, and begins again. */
export type ClosingPatience = (state: ChannelState, height: BlockHeight, session: Session | undefined, run: (command: ChannelCommand) => Promise<unknown>) => void;

export function closingPatience(): ClosingPatience {
  let withoutSig = 0;
  let withoutClose = 0;
  return (state, height, session, run) => {
    if (state.phase !== 'closing' || session === undefined) return;
    withoutSig = state.proposal === 'sent' ? withoutSig + 1 : 0;
    withoutClose = hasTimelyClose(state, height) ? 0 : withoutClose + 1;
    // BOLT 2: "MUST fail the channel" without an answer "after a reasonable amount of time".
    if (withoutClose >= CLOSE_PATIENCE) return void run({ type: 'FailClosing', blocks: withoutClose, height }).catch(() => undefined);
    if (withoutSig <= SIG_BLOCKS) return;
    withoutSig = 0;
    session.close('closing_sig_missing', `no closing_sig came within ${SIG_BLOCKS} blocks; both start again`);
  };
}
