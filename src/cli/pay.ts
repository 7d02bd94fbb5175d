/** `fulgurite pay`: pays an invoice and stays until the payment has ended, one way or the other. */
import { connectApi, type Api } from './api-client.ts';
import { parseMsat } from './amounts.ts';
import { fields, print, type AskOptions } from './ask.ts';
import { CommandFailed, grouped, WrongUsage, type Io } from './output.ts';
import { createStatus } from './watching.ts';

export interface PayOptions extends AskOptions {
  readonly amount?: string;
  readonly feeLimit?: string;
  readonly attempts?: string;
  readonly idempotencyKey?: string;
}

interface Outcome {
  readonly payment_id: string;
  readonly payment_hash: string;
  readonly status: 'in_flight' | 'succeeded' | 'failed';
  readonly payment_preimage?: string;
  readonly amount_msat?: string;
  readonly fee_msat?: string;
  readonly attempts?: number;
  readonly code?: string;
  readonly reason?: string;
  readonly erring_node?: string;
}

export async function payCommand(bolt11: string, options: PayOptions, io: Io): Promise<number> {
  const api = connectApi(options.data);
  const wish = {
    bolt11,
    ...(options.amount === undefined ? {} : { amount_msat: String(parseMsat(options.amount, '--amount')) }),
    ...(options.feeLimit === undefined ? {} : { fee_limit_msat: String(parseMsat(options.feeLimit, '--fee-limit')) }),
    ...(options.attempts === undefined ? {} : { max_attempts: attemptsOf(options.attempts) }),
    wait_seconds: 2,
  };
  const headers = options.idempotencyKey === undefined ? undefined : { 'idempotency-key': options.idempotencyKey };
  const outcome = await untilEnded(api, await api.post<Outcome>('/v1/payments', wish, headers), io);
  if (outcome.status === 'failed') return explainFailure(outcome, options, io);
  return print(io, options, outcome, fields([
    ['status', outcome.status],
    ['payment_hash', outcome.payment_hash],
    ['amount_msat', grouped(BigInt(outcome.amount_msat!))],
    ['fee_msat', grouped(BigInt(outcome.fee_msat!))],
    ['attempts', String(outcome.attempts)],
    ['payment_preimage', outcome.payment_preimage!],
  ]));
}

/** Long questions, one after the other: the payment goes on whether anybody asks or not. */
async function untilEnded(api: Api, first: Outcome, io: Io): Promise<Outcome> {
  const status = createStatus(io);
  const started = Date.now();
  try {
    for (let outcome = first; ; outcome = await api.get<Outcome>(`/v1/payments/${first.payment_id}?wait_seconds=5`)) {
      if (outcome.status !== 'in_flight') return outcome;
      status.show(`in flight since ${Math.round((Date.now() - started) / 1000) + 2} s; Ctrl-C leaves it to the node`);
    }
  } finally {
    status.clear();
  }
}

async function explainFailure(outcome: Outcome, options: PayOptions, io: Io): Promise<number> {
  if (options.json === true) {
    await print(io, options, outcome, []);
    return 1;
  }
  const where = outcome.erring_node === undefined ? '' : ` at ${outcome.erring_node}`;
  throw new CommandFailed(outcome.code ?? 'payment_failed', `the payment failed after ${outcome.attempts} attempts${where}: ${outcome.reason}`);
}

function attemptsOf(text: string): number {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  throw new WrongUsage('invalid_attempts', `--attempts: expected a number from 1 to 99, got ${text}`);
}
