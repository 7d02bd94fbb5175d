/** Addresses (BIP 173, BIP 350, base58) and the table of networks. */
import { describe, expect, it } from 'vitest';
import { AddressError, decodeAddress, encodeAddress } from '../../src/bolt/address.ts';
import { isNetworkName, networkOfChainHash, NETWORKS, type NetworkName } from '../../src/bolt/networks.ts';
import { reverseHex32, ZERO_32 } from '../../src/bolt/primitives.ts';

/** The standards' own examples. */
const EXAMPLES: readonly (readonly [NetworkName, string, string])[] = [
  ['bitcoin-mainnet', 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4', '0014751e76e8199196d454941c45d1b3a323f1433bd6'],
  ['bitcoin-mainnet', 'bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0', '512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'],
  ['bitcoin-mainnet', 'bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y', '5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6'],
  ['bitcoin-testnet', 'tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7', '00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262'],
  ['bitcoin-mainnet', '1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa', '76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac'],
  ['bitcoin-mainnet', '3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy', 'a914b472a266d0bd89c13706a4132ccfb16f7c3b9fcb87'],
];

describe('addresses', () => {
  it.each(EXAMPLES)('%s: %s', (network, address, script) => {
    expect(decodeAddress(address, network)).toBe(script);
    expect(encodeAddress(script, network)).toBe(address);
  });

  it('may be shouted, or stand between spaces', () => {
    expect(decodeAddress(' BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4 ', 'bitcoin-mainnet')).toBe(EXAMPLES[0]![2]);
  });

  it.each(Object.keys(NETWORKS) as NetworkName[])('come back on %s', (network) => {
    for (const script of [`0014${'11'.repeat(20)}`, `0020${'22'.repeat(32)}`, `5120${'33'.repeat(32)}`, '51024e73', `76a914${'44'.repeat(20)}88ac`, `a914${'55'.repeat(20)}87`]) {
      expect(decodeAddress(encodeAddress(script, network), network)).toBe(script);
    }
  });

  const codeOf = (run: () => unknown): string => {
    try {
      run();
      return 'ok';
    } catch (error) {
      return error instanceof AddressError ? error.code : String(error);
    }
  };

  it.each([
    ['not_an_address', ''],
    ['not_an_address', 'hello'],
    ['not_an_address', 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5'],
    ['not_an_address', 'bc1Qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4'],
    ['not_an_address', '1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb'],
    ['not_an_address', 'a'.repeat(10_000)],
    // BIP 350: version 1 in bech32, version 0 in bech32m, a program of version 0 with 16 bytes.
    ['not_an_address', 'bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd'],
    ['not_an_address', 'bc1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq54well'],
    ['not_an_address', 'bc1qr508d6qejxtdg4y5r3zarvaryvqyzf3du'],
    ['wrong_network', 'tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx'],
    ['wrong_network', 'mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn'],
  ])('%s: "%s"', (code, address) => {
    expect(codeOf(() => decodeAddress(address, 'bitcoin-mainnet'))).toBe(code);
  });

  it('do not exist for other scripts', () => {
    expect(codeOf(() => encodeAddress('6a00', 'bitcoin-mainnet'))).toBe('unknown_script');
    expect(codeOf(() => encodeAddress('', 'bitcoin-mainnet'))).toBe('unknown_script');
  });
});

describe('networks', () => {
  it('have chain hashes as BOLT 2 sends them, each its own', () => {
    expect(NETWORKS['bitcoin-mainnet'].chain_hash).toBe('6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000');
    for (const network of Object.values(NETWORKS)) {
      expect(network.chain_hash).toBe(reverseHex32(network.genesis_hash));
      expect(networkOfChainHash(network.chain_hash)).toBe(network);
    }
    expect(networkOfChainHash(ZERO_32)).toBeUndefined();
  });

  it('are named as they name themselves', () => {
    for (const [name, network] of Object.entries(NETWORKS)) expect([network.name, isNetworkName(name)]).toEqual([name, true]);
    expect(isNetworkName('toString')).toBe(false);
  });
});
