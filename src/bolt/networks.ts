/** The chains we know: chain_hash (BOLT 0, BOLT 2), address and invoice prefixes, ports, BIP 44 coin types. */
import { type Hex32, hex32, reverseHex32 } from './primitives.ts';

export type NetworkName =
  | 'bitcoin-mainnet' | 'bitcoin-testnet' | 'bitcoin-signet' | 'bitcoin-regtest'
  | 'litecoin-mainnet' | 'litecoin-testnet' | 'litecoin-regtest';

export interface Network {
  readonly name: NetworkName;
  /** The genesis block's hash as explorers show it. */
  readonly genesis_hash: Hex32;
  /** The same in wire order, as in `open_channel` and `init`. */
  readonly chain_hash: Hex32;
  /** Of segwit addresses (BIP 173). */
  readonly bech32_hrp: string;
  /** What stands behind `ln` in an invoice (BOLT 11, "Human-Readable Part"). */
  readonly bolt11_prefix: string;
  /** Version bytes of the older, base58 addresses. */
  readonly p2pkh_version: number;
  readonly p2sh_version: number;
  /** BIP 44's second level: 1 on every test network. */
  readonly coin_type: number;
  /** Where other nodes listen, and where the chain daemon answers RPC. */
  readonly lightning_port: number;
  readonly rpc_port: number;
}

/** Every network by name. */
export const NETWORKS: Readonly<Record<NetworkName, Network>> = {
  'bitcoin-mainnet': network('bitcoin-mainnet', '000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f', {
    bech32_hrp: 'bc', bolt11_prefix: 'bc', p2pkh_version: 0x00, p2sh_version: 0x05, coin_type: 0, lightning_port: 9735, rpc_port: 8332,
  }),
  'bitcoin-testnet': network('bitcoin-testnet', '000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943', {
    bech32_hrp: 'tb', bolt11_prefix: 'tb', p2pkh_version: 0x6f, p2sh_version: 0xc4, coin_type: 1, lightning_port: 19735, rpc_port: 18332,
  }),
  'bitcoin-signet': network('bitcoin-signet', '00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6', {
    bech32_hrp: 'tb', bolt11_prefix: 'tbs', p2pkh_version: 0x6f, p2sh_version: 0xc4, coin_type: 1, lightning_port: 39735, rpc_port: 38332,
  }),
  'bitcoin-regtest': network('bitcoin-regtest', '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206', {
    bech32_hrp: 'bcrt', bolt11_prefix: 'bcrt', p2pkh_version: 0x6f, p2sh_version: 0xc4, coin_type: 1, lightning_port: 19846, rpc_port: 18443,
  }),
  'litecoin-mainnet': network('litecoin-mainnet', '12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2', {
    bech32_hrp: 'ltc', bolt11_prefix: 'ltc', p2pkh_version: 0x30, p2sh_version: 0x32, coin_type: 2, lightning_port: 9735, rpc_port: 9332,
  }),
  'litecoin-testnet': network('litecoin-testnet', '4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0', {
    bech32_hrp: 'tltc', bolt11_prefix: 'tltc', p2pkh_version: 0x6f, p2sh_version: 0x3a, coin_type: 1, lightning_port: 19735, rpc_port: 19332,
  }),
  'litecoin-regtest': network('litecoin-regtest', '530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9', {
    bech32_hrp: 'rltc', bolt11_prefix: 'rltc', p2pkh_version: 0x6f, p2sh_version: 0x3a, coin_type: 1, lightning_port: 19846, rpc_port: 19443,
  }),
};

/** The network of a chain_hash (wire order), or undefined for a chain we do not know. */
export function networkOfChainHash(chain_hash: Hex32): Network | undefined {
  return Object.values(NETWORKS).find((known) => known.chain_hash === chain_hash);
}

export const isNetworkName = (text: string): text is NetworkName => Object.hasOwn(NETWORKS, text);

function network(name: NetworkName, genesis: string, rest: Omit<Network, 'name' | 'genesis_hash' | 'chain_hash'>): Network {
  const genesis_hash = hex32(genesis);
  return { name, genesis_hash, chain_hash: reverseHex32(genesis_hash), ...rest };
}
