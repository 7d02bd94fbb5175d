/** The little of bitcore-lib that we use: it ships no types. */
declare module 'bitcore-lib' {
  interface EcdsaSignature {
    readonly r: { toBuffer(options: { size: number }): Buffer };
    readonly s: { toBuffer(options: { size: number }): Buffer };
  }
  interface PublicKey {
    readonly compressed: boolean;
    toBuffer(): Buffer;
  }
  interface Script {
    toBuffer(): Buffer;
  }
  interface Output {
    readonly script: Script;
  }
  interface Transaction {
    readonly inputs: { readonly script: Script; output?: Output }[];
  }
  interface Interpreter {
    readonly errstr: string;
    verify(scriptSig: Script, scriptPubkey: Script, tx: Transaction, input: number, flags: number, witness: Buffer[], satoshis: number): boolean;
  }
  interface Bitcore {
    readonly crypto: {
      readonly ECDSA: { verify(hash: Buffer, signature: EcdsaSignature, publicKey: PublicKey, options?: { endian?: 'big' | 'little' }): boolean };
    };
    readonly PublicKey: { isValid(bytes: Buffer): boolean; fromBuffer(bytes: Buffer, strict?: boolean): PublicKey };
    readonly Script: { new (hex: string): Script; readonly Interpreter: { new (): Interpreter } & Readonly<Record<`SCRIPT_VERIFY_${string}`, number>> };
    readonly Transaction: { new (hex: string): Transaction; readonly Output: new (output: { script: Script; satoshis: number }) => Output };
  }
}
