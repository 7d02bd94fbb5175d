/** Folds the facts of an invoice stream. */
import type { InvoiceEvent } from '../../events/invoice.ts';
import { never } from '../decider.ts';
import { isSameHtlc, type InvoiceState } from './state.ts';

export function evolveInvoice(state: InvoiceState, event: InvoiceEvent): InvoiceState {
  switch (event.type) {
    case 'InvoiceCreated': {
      const { type: _, description: __, ...terms } = event;
      return { phase: 'open', terms, accepted: [] };
    }
    case 'InvoiceHtlcAccepted': {
      const { type: _, ...htlc } = event;
      return state.phase === 'open' ? { ...state, accepted: [...state.accepted, htlc] } : state;
    }
    case 'InvoiceHtlcRefused':
      return state.phase === 'open' ? { ...state, accepted: state.accepted.filter((htlc) => !isSameHtlc(htlc, event)) } : state;
    case 'InvoiceSettled':
      return state.phase === 'open' ? { phase: 'settled', terms: state.terms, payment_preimage: event.payment_preimage, htlcs: event.htlcs } : state;
    default:
      return never(event);
  }
}
