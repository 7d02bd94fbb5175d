/** BOLT 5: the claims of a channel: what has become of each, and its transaction derived again from the state alone. */
import { buildSweep, NO_DELAY, sweepWitness, type SweepInput } from '../../bolt/03-transactions/claim-tx.ts';
import { htlcWitness, type HtlcTransaction } from '../../bolt/03-transactions/htlc-tx.ts';
import { derSignature, txidOf, weightOf, witnessSighasher, type TxOutput, type UnsignedTx, type Witness } from '../../bolt/03-transactions/tx.ts';
import type { Hex, Hex32, Point, Sat, Signature } from '../../bolt/primitives.ts';
import type { ResolvingState } from '../channel/spending.ts';
import type { ChannelState } from '../channel/state.ts';
import { anchorInput, claimInput } from './claim-inputs.ts';
import { isAt, NOTHING_ON_CHAIN } from './evolve.ts';
import { preimageFor, ruleFor } from './output-lifecycle.ts';
import type { ChainOutput, Claim, ClaimSigning, ClaimTransaction, OutPoint, WalletBase, WalletShare } from './types.ts';
import { anchorOn, ourCommitment, unrevokedCommitments } from './unrevoked.ts';

/**
 * `live`: owed to the chain. `replaced`: a dearer one is owed in its place; it may confirm all the same. `confirmed`: a block
 * holds it. `lost`: someone else spent an input. `waiting`: a reorganisation took its outputs. `needless`: an anchor whose
 * commitment is confirmed. The wallet's coins are free again once no claim that spends them is live, replaced or waiting.
 */
export type ClaimStatus = 'live' | 'replaced' | 'confirmed' | 'lost' | 'waiting' | 'needless';

export function claimStatus(state: ChannelState, claim: Claim): ClaimStatus {
  if (state.phase !== 'resolving' && state.phase !== 'closed') return 'waiting';
  const { outputs, claims } = state.onchain ?? NOTHING_ON_CHAIN;
  const inputs = claim.inputs.map((input) => outputs.find((output) => isAt(output, input)));
  if (inputs.some((output) => output?.spent?.txid === claim.claim_txid)) return 'confirmed';
  if (inputs.some((output) => output?.spent !== undefined)) return 'lost';
  if (claim.kind === 'anchor') {
    if (state.spend !== undefined) return inputs.includes(undefined) ? 'lost' : 'needless';
  } else if (inputs.includes(undefined)) {
    return state.spend === undefined || claim.inputs.some(({ txid }) => txid === state.spend!.txid) ? 'waiting' : 'lost';
  }
  return claims.some(({ replaces }) => replaces === claim.claim_txid) ? 'replaced' : 'live';
}

/** Owed to the chain: rebroadcast with each block. */
export function liveClaims(state: ChannelState): readonly Claim[] {
  const claims = state.phase === 'resolving' ? (state.onchain?.claims ?? []) : [];
  return claims.filter((claim) => claimStatus(state, claim) === 'live');
}

export const findClaim = (state: ChannelState, claim_txid: Hex32): Claim | undefined =>
  'onchain' in state ? state.onchain?.claims.find((claim) => claim.claim_txid === claim_txid) : undefined;

/** Claims of ours that a block holds. */
export const confirmedClaims = (state: ChannelState): readonly Claim[] =>
  'onchain' in state ? (state.onchain?.claims ?? []).filter((claim) => claimStatus(state, claim) === 'confirmed') : [];

/** What still lies on chain for us, sat: less only what the peer can show a preimage for. HTLCs offered to us count once we have theirs. */
export function outstandingSat(state: Extract<ChannelState, { phase: 'resolving' | 'closed' }>): Sat {
  const ours = (state.onchain?.outputs ?? []).filter((output) => {
    const rule = output.spent === undefined ? ruleFor(state, output) : undefined;
    return rule !== undefined && (rule.from !== 'preimage' || preimageFor(state, output) !== undefined);
  });
  return sumOf(ours) as Sat;
}

/** All that decides a claim's transaction. */
export type ClaimRequest = Pick<Claim, 'kind' | 'inputs' | 'feerate_per_kw' | 'destination_script' | 'wallet'>;

/** The transaction of a claim. Undefined where its outputs are not on chain, or nothing above dust would be left. */
export function claimTransaction(state: ResolvingState, claim: ClaimRequest): ClaimTransaction | undefined {
  switch (claim.kind) {
    case 'sweep':
    case 'htlc_claim':
    case 'penalty':
      return directClaim(state, claim);
    case 'htlc_success':
    case 'htlc_timeout':
    case 'anchor': {
      const parts = walletParts(state, claim);
      return parts === undefined ? undefined : withWallet(parts, claim.wallet);
    }
  }
}

function directClaim(state: ResolvingState, { inputs, destination_script, feerate_per_kw }: ClaimRequest): ClaimTransaction | undefined {
  if (destination_script === undefined) return undefined;
  const taken = inputs.map((input) => onChain(state, input)).map((output) => (output === undefined ? undefined : claimInput(state, output)));
  if (!taken.every((input) => input !== undefined)) return undefined;
  const sweep = buildSweep({ inputs: taken.map(({ input }) => input), destination_script, feerate_per_kw });
  if (sweep === undefined) return undefined;
  const { tx, txid, fee_satoshis, weight, sighashes } = sweep;
  const signings = taken.map(({ input, key }, i): ClaimSigning => ({ key, sighash: sighashes[i]!, witness: (signature) => sweepWitness(input, derSignature(signature)) }));
  return { tx, txid, fee_satoshis, weight, inputs: signings };
}

/** Also of outputs that are spent: an auditor looks back. */
const onChain = ({ onchain }: ResolvingState, input: OutPoint): ChainOutput | undefined => onchain?.outputs.find((output) => isAt(output, input));

// ---- transactions whose fee the wallet pays

/** One input that is the channel's, the output that stands across from it, and how it is signed. */
interface Part {
  readonly input: Pick<SweepInput, 'txid' | 'index' | 'sequence' | 'value'>;
  readonly output?: TxOutput;
  readonly locktime: number;
  readonly script: Hex;
  readonly key: ClaimSigning['key'];
  readonly witness: (signature: Signature) => Witness;
}

function walletParts(state: ResolvingState, { kind, inputs }: ClaimRequest): readonly Part[] | undefined {
  const parts = kind === 'anchor' ? inputs.map((input) => anchorPart(state, input)) : htlcParts(state, inputs);
  return parts.every((part) => part !== undefined) ? parts : undefined;
}

/** HTLC transactions of our own commitment. The peer's SINGLE|ANYONECANPAY signatures let several share one transaction, input i across from output i. */
function htlcParts(state: ResolvingState, inputs: readonly OutPoint[]): readonly (Part | undefined)[] {
  if (state.spend?.kind !== 'local') return [undefined];
  const commitment = ourCommitment(state);
  const { point: per_commitment_point, htlc_signatures } = state.commitments.local;
  return inputs.map((outpoint): Part | undefined => {
    const n = commitment.htlcs.findIndex(({ output_index }) => output_index === outpoint.output_index);
    const output = onChain(state, outpoint);
    const htlc = commitment.htlcs[n];
    if (htlc === undefined || output === undefined) return undefined;
    const preimage = htlc.kind === 'success' ? preimageFor(state, output) : undefined;
    if (htlc.kind === 'success' && preimage === undefined) return undefined;
    return htlcPart(htlc, { kind: 'htlc', per_commitment_point }, (signature) => htlcWitness(htlc, signature, htlc_signatures[n]!, preimage));
  });
}

const htlcPart = ({ tx, input_value, witness_script }: HtlcTransaction, key: Part['key'], witness: Part['witness']): Part =>
  ({ input: { ...tx.inputs[0]!, value: input_value }, output: tx.outputs[0]!, locktime: tx.locktime, script: witness_script, key, witness });

/** Our anchor on a commitment in a block, or on one that may come there. */
function anchorPart(state: ResolvingState, outpoint: OutPoint): Part | undefined {
  const output = onChain(state, outpoint) ?? unrevokedCommitments(state).map(anchorOn).find((anchor) => anchor !== undefined && isAt(anchor, outpoint));
  if (output === undefined || !output.kind.startsWith('anchor')) return undefined;
  const { input, key } = anchorInput(state, output);
  return { input, locktime: 0, script: input.witness_script!, key, witness: (signature) => sweepWitness(input, derSignature(signature)) };
}

/** A P2WPKH input with its witness, and a P2WPKH output: what the wallet adds at the least, in weight units. */
export const WALLET_WEIGHT = 273 + 124;
const NO_SHARE = { inputs: [], change: undefined } as const;
const SOME_SIGNATURE = 'ff'.repeat(64) as Signature;
/** `<sig> <pubkey>` of a P2WPKH, with a signature of 73 bytes. */
const WALLET_WITNESS: Witness = ['00'.repeat(73), '00'.repeat(33)];

function withWallet(parts: readonly Part[], wallet: WalletShare | undefined): ClaimTransaction | undefined {
  const { inputs: coins, change } = wallet ?? NO_SHARE;
  const tx = joined(parts, coins, change);
  if (tx.outputs.length === 0) return undefined;
  const fee = sumOf([...parts.map(({ input }) => input), ...coins]) - sumOf(tx.outputs);
  if (fee < 0n) return undefined;
  const sighash = witnessSighasher(tx);
  const signings = [
    ...parts.map(({ script, input, key, witness }, i): ClaimSigning => ({ key, witness, sighash: sighash(i, script, input.value) })),
    ...coins.map((coin, i): ClaimSigning => ({
      key: { kind: 'wallet', script_pubkey: coin.script_pubkey },
      sighash: sighash(parts.length + i, scriptCode(coin.script_pubkey), coin.value),
      witness: (signature: Signature, pubkey?: Point) => [derSignature(signature), pubkey!],
    })),
  ];
  return { tx, txid: txidOf(tx), fee_satoshis: fee as Sat, weight: weightOf(tx, [...expectedWitnesses(parts), ...coins.map(() => WALLET_WITNESS)]), inputs: signings };
}

function joined(parts: readonly Part[], coins: WalletShare['inputs'] | readonly [], change: WalletShare['change']): UnsignedTx {
  const own = parts.flatMap(({ output }) => (output === undefined ? [] : [output]));
  return {
    version: 2,
    locktime: Math.max(...parts.map(({ locktime }) => locktime)),
    inputs: [
      ...parts.map(({ input: { txid, index, sequence } }) => ({ txid, index, sequence })),
      ...coins.map(({ txid, output_index: index }) => ({ txid, index, sequence: NO_DELAY })),
    ],
    outputs: change === undefined ? own : [...own, change],
  };
}

const sumOf = (values: readonly { readonly value: Sat }[]): bigint => values.reduce((sum, { value }) => sum + value, 0n);
const expectedWitnesses = (parts: readonly Part[]): readonly Witness[] => parts.map(({ witness }) => witness(SOME_SIGNATURE));
/** What a signature for a P2WPKH input commits to (BIP 143), from its script. */
const scriptCode = (script_pubkey: Hex): Hex => `76a914${script_pubkey.slice(4)}88ac`;

/** A claim without its wallet coins: what the wallet is asked to add to. */
export function walletBase(state: ResolvingState, claim: Pick<Claim, 'kind' | 'inputs'>): Pick<WalletBase, 'tx' | 'weight' | 'value_in'> | undefined {
  const parts = walletParts(state, { ...claim, feerate_per_kw: 0 });
  if (parts === undefined) return undefined;
  const tx = joined(parts, [], undefined);
  return { tx, weight: weightOf(tx, expectedWitnesses(parts)), value_in: sumOf(parts.map(({ input }) => input)) as Sat };
}
