/** What `fulgurite audit` says of each close: who, why, which transactions, which fees, and whether it paid what the last state says. */
import type { AuditReport, CloseReport } from '../projections/audit.ts';
import { describeFees } from './fees.ts';
import { grouped, type painter, table } from './output.ts';

export function describeCloses({ closes }: Pick<AuditReport, 'closes'>, paint: ReturnType<typeof painter>): readonly string[] {
  return closes.flatMap((close) => [paint('bold', `  close of ${close.stream}`), ...describeClose(close, paint).map((line) => `    ${line}`), '']);
}

const BY = { user: 'the user', local: 'us, by our own rules', remote: 'the peer' } as const;

function describeClose(close: CloseReport, paint: ReturnType<typeof painter>): readonly string[] {
  const { by, cause, transactions, fees } = close;
  const ours = `ours ${grouped(fees.local_sat)}, the peer's ${grouped(fees.remote_sat)}, rounded away ${grouped(fees.rounding_sat)}${fees.unknown_sat === 0n ? '' : `, not known whose ${grouped(fees.unknown_sat)}`}`;
  return [
    `by ${BY[by]}: ${cause.code}: ${cause.reason} (${cause.type}, position ${cause.position}, revision ${cause.revision})`,
    ending(close),
    `outputs equal the last state: ${verdict(close, paint)}`,
    ...describeOutputs(close),
    ...(transactions.length === 0 ? [] : describeFees(transactions, { ofOneChannel: true })),
    `fee_sat ${grouped(fees.fee_sat)} confirmed: ${ours}; pending ${grouped(fees.pending_sat)}`,
  ];
}

function ending({ kind, txid, commitment_number, block_height, resolved }: CloseReport): string {
  if (kind === undefined) return 'nothing of it is on chain yet';
  const number = commitment_number === undefined ? '' : ` ${commitment_number}`;
  return `${kind}${number} ${txid} in block ${block_height}; ${resolved ? 'resolved' : 'not resolved yet'}`;
}

function verdict({ outputs_equal_state }: CloseReport, paint: ReturnType<typeof painter>): string {
  return outputs_equal_state === 'yes' ? paint('green', 'yes') : outputs_equal_state === 'no' ? paint('red', 'no') : 'the log cannot say';
}

function describeOutputs({ outputs }: CloseReport): readonly string[] {
  const cells = outputs.map(({ output_index, kind, value_sat, htlc, spent }) => [
    `output ${output_index}`, htlc === undefined ? kind : `${kind} ${htlc.direction} ${htlc.htlc_id}`, grouped(value_sat),
    spent === undefined ? '' : `spent by ${spent.by === 'local' ? 'us' : 'the peer'}: ${spent.txid} in block ${spent.block_height}`,
  ]);
  return table(cells, [2]);
}
