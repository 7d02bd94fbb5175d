/** Every story between streams, as one saga for the runner. Stored command ids count its reactions: append new sagas at the end. */
import { payment } from './payment.ts';
import { receivePayment } from './receive-payment.ts';
import { relayHtlc } from './relay-htlc.ts';
import { combine } from './saga.ts';

export const allSagas = combine('sagas', [receivePayment, relayHtlc, payment]);
