/** Addresses and the output scripts they stand for: segwit (BIP 173, BIP 350) and the older base58 forms. */
import { bech32, bech32m, createBase58check } from '@scure/base';
import { crypto } from './crypto.ts';
import { type Network, NETWORKS, type NetworkName } from './networks.ts';
import { concatBytes, fromHex, type Hex, toHex } from './primitives.ts';

export type AddressCode = 'not_an_address' | 'wrong_network' | 'unknown_script';

export class AddressError extends Error {
  readonly code: AddressCode;
  constructor(code: AddressCode, message: string) {
    super(message);
    this.name = 'AddressError';
    this.code = code;
  }
}

const base58check = createBase58check((data: Uint8Array) => crypto().sha256(data));
/** The longest is a witness program of 40 bytes on regtest. */
const MAX_LENGTH = 90;

/** The address of an output script. Throws AddressError on a script that has none. */
export function encodeAddress(script_pubkey: Hex, network: NetworkName): string {
  const { bech32_hrp, p2pkh_version, p2sh_version } = NETWORKS[network];
  const program = witnessProgram(script_pubkey);
  if (program !== undefined) return encodeSegwit(bech32_hrp, program);
  const p2pkh = /^76a914(.{40})88ac$/.exec(script_pubkey);
  if (p2pkh) return encodeBase58(p2pkh_version, p2pkh[1]!);
  const p2sh = /^a914(.{40})87$/.exec(script_pubkey);
  if (p2sh) return encodeBase58(p2sh_version, p2sh[1]!);
  throw new AddressError('unknown_script', `no address stands for the script ${script_pubkey.slice(0, 100)}`);
}

/** The output script of an address. Throws AddressError on a typing slip, or an address of another network. */
export function decodeAddress(text: string, network: NetworkName): Hex {
  const address = text.trim();
  const script = address.length > MAX_LENGTH ? undefined : decodeSegwit(address, NETWORKS[network]) ?? decodeBase58(address, NETWORKS[network]);
  if (script === undefined) throw new AddressError('not_an_address', `not an address: "${address.slice(0, MAX_LENGTH)}"`);
  return script;
}

interface WitnessProgram {
  readonly version: number;
  readonly program: Uint8Array;
}

function witnessProgram(script: Hex): WitnessProgram | undefined {
  const match = /^(00|5[1-9a-f]|60)(..)((?:..){2,40})$/.exec(script);
  if (match === null || parseInt(match[2]!, 16) * 2 !== match[3]!.length) return undefined;
  const opcode = parseInt(match[1]!, 16);
  return { version: opcode === 0 ? 0 : opcode - 0x50, program: fromHex(match[3]!) };
}

function encodeSegwit(hrp: string, { version, program }: WitnessProgram): string {
  const form = version === 0 ? bech32 : bech32m;
  return form.encode(hrp, [version, ...form.toWords(program)]);
}

/** Answers undefined for what is no bech32 at all. */
function decodeSegwit(address: string, { bech32_hrp, name }: Network): Hex | undefined {
  const decoded = bech32.decodeUnsafe(address, MAX_LENGTH) ?? bech32m.decodeUnsafe(address, MAX_LENGTH);
  if (decoded === undefined) return undefined;
  const form = bech32.decodeUnsafe(address, MAX_LENGTH) === undefined ? bech32m : bech32;
  const [version, ...words] = decoded.words;
  const program = form.fromWordsUnsafe(words);
  // BIP 350: version 0 is bech32, all later ones are bech32m.
  if (version === undefined || version > 16 || program === undefined || (version === 0) !== (form === bech32)) return undefined;
  if (program.length < 2 || program.length > 40 || (version === 0 && program.length !== 20 && program.length !== 32)) return undefined;
  if (decoded.prefix !== bech32_hrp) throw new AddressError('wrong_network', `the address begins with "${decoded.prefix}", ${name} has "${bech32_hrp}"`);
  return toHex(Uint8Array.of(version === 0 ? 0 : 0x50 + version, program.length)) + toHex(program);
}

const encodeBase58 = (version: number, hash: Hex): string => base58check.encode(concatBytes(Uint8Array.of(version), fromHex(hash)));

function decodeBase58(address: string, { p2pkh_version, p2sh_version, name }: Network): Hex | undefined {
  const bytes = tryBase58(address);
  if (bytes?.length !== 21) return undefined;
  const hash = toHex(bytes.subarray(1));
  if (bytes[0] === p2pkh_version) return `76a914${hash}88ac`;
  if (bytes[0] === p2sh_version) return `a914${hash}87`;
  throw new AddressError('wrong_network', `the address has version ${bytes[0]}, ${name} has ${p2pkh_version} and ${p2sh_version}`);
}

function tryBase58(address: string): Uint8Array | undefined {
  try {
    return base58check.decode(address);
  } catch {
    return undefined;
  }
}
