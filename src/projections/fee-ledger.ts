/** The fee ledger: who paid which on-chain fee, to the sat: fundings, closes, claims, and what the wallet sent. */
import { parseTx } from '../bolt/03-transactions/tx-parse.ts';
import { sat, type BlockHeight, type Hex32, type Sat } from '../bolt/primitives.ts';
import { isEstablished, type ChannelState, type EstablishedState, type FundingSpend } from '../domain/channel/state.ts';
import { claimStatus } from '../domain/onchain/claims.ts';
import type { Claim } from '../domain/onchain/types.ts';
import type { ClaimKind } from '../events/channel/onchain.ts';
import type { StreamId } from '../events/store.ts';
import type { WalletEvent } from '../events/wallet.ts';
import { channels, type ChannelsView } from './channels.ts';
import { combine, type Projection } from './projection.ts';
import { spendFee, type FeePart } from './spend-fees.ts';

/** `payment`: the wallet's own, for no channel. */
export type FeeKind = 'funding' | 'mutual_close' | 'commitment' | 'unknown_spend' | ClaimKind | 'payment';

/** `pending`: no block holds it yet. `given_up`: a rival or a dearer one of ours is in its place, or it became needless: it costs nothing. */
export type FeeStatus = 'confirmed' | 'pending' | 'given_up';

/** One transaction. */
export interface FeeRow {
  readonly stream?: StreamId;
  readonly kind: FeeKind;
  readonly txid: Hex32;
  readonly status: FeeStatus;
  readonly block_height?: BlockHeight;
  readonly inputs_sat: Sat;
  readonly outputs_sat: Sat;
  /** Inputs less outputs: the sum of the parts. */
  readonly fee_sat: Sat;
  readonly parts: readonly FeePart[];
  /** Of the fee, what coins of the wallet paid, less their change. */
  readonly wallet_sat: Sat;
  /** In a commitment's anchors, at the opener's cost: no fee yet. */
  readonly anchors_sat: Sat;
}

/** sat, of confirmed transactions. */
export interface FeeTotals {
  /** Paid by us. */
  readonly local_sat: Sat;
  /** Paid by peers. */
  readonly remote_sat: Sat;
  /** Parts of a sat that were rounded away, of both. */
  readonly rounding_sat: Sat;
  /** In closes that the log cannot explain. */
  readonly unknown_sat: Sat;
  /** All of it: inputs less outputs. */
  readonly fee_sat: Sat;
  /** In transactions that no block holds yet. */
  readonly pending_sat: Sat;
}

export interface FeeLedger {
  readonly rows: readonly FeeRow[];
  readonly channels: readonly ({ readonly stream: StreamId } & FeeTotals)[];
  readonly totals: FeeTotals;
}

// ---- the wallet's transactions

interface WalletFee {
  readonly txid: Hex32;
  readonly purpose: string;
  readonly outputs_sat: Sat;
  readonly fee_sat: Sat;
  readonly block_height?: BlockHeight;
  readonly abandoned?: boolean;
}

export type WalletFeesView = Map<Hex32, WalletFee>;

/** Transactions that are the wallet's alone; a hundred bytes each. What it adds to claims stands with the claim. */
export const walletFees: Projection<WalletFeesView> = {
  name: 'wallet_fees',
  initial: () => new Map(),
  apply(view, { stream, event }) {
    if (stream === 'wallet') advance(view, event as WalletEvent);
    return view;
  },
  rows: (view) => new Map(view),
};

function advance(view: WalletFeesView, event: WalletEvent): void {
  switch (event.type) {
    case 'TransactionCreated': {
      const { txid, purpose, transaction, fee_satoshis: fee_sat } = event;
      return void view.set(txid, { txid, purpose, fee_sat, outputs_sat: valueOf(parseTx(transaction).outputs) });
    }
    case 'TransactionAbandoned':
      return change(view, event.txid, { abandoned: true });
    case 'CoinSpent':
      return change(view, event.spending_txid, { block_height: event.block_height, abandoned: undefined });
    case 'WalletRolledBack':
      for (const { txid, block_height = 0 } of view.values()) if (block_height > event.to_height) change(view, txid, { block_height: undefined });
      return;
    default:
      return;
  }
}

function change(view: WalletFeesView, txid: Hex32, fields: Partial<WalletFee>): void {
  const before = view.get(txid);
  if (before !== undefined) view.set(txid, { ...before, ...fields });
}

const valueOf = (outputs: readonly { readonly value: bigint }[]): Sat => outputs.reduce((sum, { value }) => sum + value, 0n) as Sat;

function walletRow({ txid, purpose, outputs_sat, fee_sat, block_height, abandoned }: WalletFee): FeeRow {
  const stream = purpose.startsWith(FUNDING) ? purpose.slice(FUNDING.length) : undefined;
  const status = block_height !== undefined ? 'confirmed' : abandoned === true ? 'given_up' : 'pending';
  return {
    stream, kind: stream === undefined ? 'payment' : 'funding', txid, status, block_height,
    inputs_sat: sat(outputs_sat + fee_sat), outputs_sat, fee_sat, parts: ours(fee_sat), wallet_sat: fee_sat, anchors_sat: sat(0n),
  };
}

/** How the wallet names what it pays into a channel. */
const FUNDING = 'funding ';

const ours = (fee_sat: Sat): readonly FeePart[] => [{ what: 'fee', by: 'local', amount_sat: fee_sat }];

// ---- the channels' ends

type Ended = EstablishedState & { readonly spend?: FundingSpend };

/** A state never changes, and neither do its fees: ended channels are asked for again and again. */
const remembered = new WeakMap<ChannelState, readonly FeeRow[]>();

/** The close of a channel and everything we claimed of it. */
export function channelFees(stream: StreamId, state: ChannelState): readonly FeeRow[] {
  const rows = remembered.get(state) ?? feesOfEnd(stream, state);
  remembered.set(state, rows);
  return rows;
}

function feesOfEnd(stream: StreamId, state: ChannelState): readonly FeeRow[] {
  if (!isEstablished(state) || !('spend' in state || 'sweeps' in state)) return [];
  const spend = (state as Ended).spend;
  return [...(spend === undefined ? [] : [spendRow(stream, state, spend)]), ...claimRows(stream, state)];
}

function spendRow(stream: StreamId, state: EstablishedState, spend: FundingSpend): FeeRow {
  const { txid, block_height } = spend;
  return { stream, kind: kindOf(spend), txid, status: 'confirmed', block_height, wallet_sat: sat(0n), ...spendFee(state, spend) };
}

function kindOf({ kind }: FundingSpend): FeeKind {
  if (kind === 'mutual') return 'mutual_close';
  return kind === 'unknown' ? 'unknown_spend' : 'commitment';
}

function claimRows(stream: StreamId, state: EstablishedState): readonly FeeRow[] {
  const claims = 'onchain' in state ? (state.onchain?.claims ?? []) : [];
  const sweeps = 'sweeps' in state ? state.sweeps : [];
  return [
    ...claims.map((claim) => ({ stream, kind: claim.kind, txid: claim.claim_txid, ...whereIs(state, claim), ...claimFee(claim) })),
    ...sweeps.map(({ sweep_txid, confirmed_height, inputs, fee_satoshis }): FeeRow => ({
      stream, kind: 'sweep', txid: sweep_txid, status: confirmed_height === undefined ? 'pending' : 'confirmed', block_height: confirmed_height, ...claimFee({ inputs, fee_satoshis }),
    })),
  ];
}

function whereIs(state: EstablishedState, claim: Claim): Pick<FeeRow, 'status' | 'block_height'> {
  const spends = 'onchain' in state ? (state.onchain?.outputs ?? []).map(({ spent }) => spent) : [];
  switch (claimStatus(state, claim)) {
    case 'confirmed':
      return { status: 'confirmed', block_height: spends.find((spent) => spent?.txid === claim.claim_txid)?.block_height };
    case 'live':
    case 'waiting':
      return { status: 'pending' };
    case 'replaced':
    case 'lost':
    case 'needless':
      return { status: 'given_up' };
  }
}

function claimFee({ inputs, wallet, fee_satoshis: fee_sat }: Pick<Claim, 'inputs' | 'wallet' | 'fee_satoshis'>): Pick<FeeRow, 'inputs_sat' | 'outputs_sat' | 'fee_sat' | 'parts' | 'wallet_sat' | 'anchors_sat'> {
  const added = valueOf(wallet?.inputs ?? []);
  const inputs_sat = sat(valueOf(inputs) + added);
  const wallet_sat = sat(added - (wallet?.change?.value ?? 0n));
  return { inputs_sat, outputs_sat: sat(inputs_sat - fee_sat), fee_sat, parts: ours(fee_sat), wallet_sat, anchors_sat: sat(0n) };
}

// ---- all of it

const parts = combine('fees', { channels, wallet: walletFees });

export const feeLedger: Projection<ReturnType<typeof parts.initial>, FeeLedger> = {
  ...parts,
  rows: (view) => toFeeLedger(view.channels, view.wallet),
};

/** The ledger of views that were folded already. */
export function toFeeLedger(channelsView: ChannelsView, walletView: WalletFeesView): FeeLedger {
  const ends = [...channelsView].flatMap(([stream, { state }]) => channelFees(stream, state));
  const rows = [...[...walletView.values()].map(walletRow), ...ends];
  return { rows, channels: [...byChannel(rows)].map(([stream, own]) => ({ stream, ...totalsOf(own) })), totals: totalsOf(rows) };
}

function byChannel(rows: readonly FeeRow[]): ReadonlyMap<StreamId, readonly FeeRow[]> {
  const found = new Map<StreamId, FeeRow[]>();
  for (const row of rows) if (row.stream !== undefined) found.set(row.stream, [...(found.get(row.stream) ?? []), row]);
  return found;
}

export function totalsOf(rows: readonly FeeRow[]): FeeTotals {
  const confirmed = rows.filter(({ status }) => status === 'confirmed');
  const by = (payer: FeePart['by']): Sat => confirmed.flatMap((row) => row.parts).reduce((sum, part) => (part.by === payer ? sum + part.amount_sat : sum), 0n) as Sat;
  const feesOf = (some: readonly FeeRow[]): Sat => some.reduce((sum, { fee_sat }) => sum + fee_sat, 0n) as Sat;
  return {
    local_sat: by('local'), remote_sat: by('remote'), rounding_sat: by('both'), unknown_sat: by('unknown'),
    fee_sat: feesOf(confirmed), pending_sat: feesOf(rows.filter(({ status }) => status === 'pending')),
  };
}
