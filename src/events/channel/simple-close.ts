/** BOLT 2, "Closing Negotiation: closing_complete and closing_sig": the facts of option_simple_close. Stored for ever: add a new type, never change one. */
import { z } from 'zod';
import { fact, hex, hex32, sat, signature, u32 } from '../words.ts';

/** Which outputs a closing transaction has; each variant has a signature of its own. */
export const closingOutputs = z.enum(['closer_output_only', 'closee_output_only', 'closer_and_closee_outputs']);
export type ClosingOutputs = z.output<typeof closingOutputs>;

/** What closer and closee say alike. The closer pays the fee. */
const terms = { closer_scriptpubkey: hex, closee_scriptpubkey: hex, fee_satoshis: sat, locktime: u32 };

export const simpleCloseEvents = [
  /** We are the closer. `outputs`: the variants that our signatures are owed for; the peer may complete and publish any of them. */
  fact('ClosingCompleteSent', { ...terms, outputs: z.array(closingOutputs).min(1).max(2) }),
  /** The peer is the closer: its signatures as they came. */
  fact('ClosingCompleteReceived', {
    ...terms,
    signatures: z.strictObject({
      closer_output_only: signature.optional(),
      closee_output_only: signature.optional(),
      closer_and_closee_outputs: signature.optional(),
    }),
  }),
  /** We sign the variant of the peer's last closing_complete that suits us: from here on both have signed it. */
  fact('ClosingSigSent', { outputs: closingOutputs, closing_txid: hex32 }),
  /** The peer has signed this variant of our last closing_complete. */
  fact('ClosingSigReceived', { outputs: closingOutputs, closing_txid: hex32, signature }),
] as const;

export type SimpleCloseEvent = z.output<(typeof simpleCloseEvents)[number]>;
