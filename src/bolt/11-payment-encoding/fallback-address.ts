/** BOLT 11, "Tagged Fields": a fallback `f` as the address that people and wallets know (BIP 173, BIP 350, Base58Check). */
import { bech32, bech32m, createBase58check } from '@scure/base';
import { crypto } from '../crypto.ts';
import { concatBytes, fromHex } from '../primitives.ts';
import type { Currency } from './human-readable.ts';
import type { Fallback } from './tagged-fields.ts';

interface AddressFormat {
  readonly bech32: string;
  readonly pubkeyHash: number;
  readonly scriptHash: number;
}

const TESTNET = { bech32: 'tb', pubkeyHash: 0x6f, scriptHash: 0xc4 };
const LITECOIN_TESTNET = { bech32: 'tltc', pubkeyHash: 0x6f, scriptHash: 0x3a };

const ADDRESS_FORMATS: Readonly<Record<Currency, AddressFormat>> = {
  bc: { bech32: 'bc', pubkeyHash: 0x00, scriptHash: 0x05 },
  tb: TESTNET,
  // Signet has its own prefix in invoices and shares testnet's in addresses.
  tbs: TESTNET,
  bcrt: { ...TESTNET, bech32: 'bcrt' },
  ltc: { bech32: 'ltc', pubkeyHash: 0x30, scriptHash: 0x32 },
  tltc: LITECOIN_TESTNET,
  rltc: { ...LITECOIN_TESTNET, bech32: 'rltc' },
};

const base58check = createBase58check((data: Uint8Array) => crypto().sha256(data));

/** The address of a fallback that decodeInvoice answered. */
export function fallbackAddress({ version, program }: Fallback, currency: Currency): string {
  const format = ADDRESS_FORMATS[currency];
  const bytes = fromHex(program);
  if (version === 17) return base58check.encode(concatBytes(Uint8Array.of(format.pubkeyHash), bytes));
  if (version === 18) return base58check.encode(concatBytes(Uint8Array.of(format.scriptHash), bytes));
  const segwit = version === 0 ? bech32 : bech32m;
  return segwit.encode(format.bech32, [version, ...segwit.toWords(bytes)]);
}
