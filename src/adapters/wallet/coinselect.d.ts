/** The little of coinselect that we use: it ships no types. Sizes and amounts are numbers; without `inputs` nothing was found. */
declare module 'coinselect' {
  interface Utxo {
    readonly value: number;
    readonly script: { readonly length: number };
  }
  export default function coinSelect<U extends Utxo>(utxos: readonly U[], outputs: readonly Utxo[], feeRate: number): { readonly inputs?: readonly U[] };
}
