/** The live view as a terminal gets it: nothing wider or higher than the terminal, whatever is shown. */
import { describe, expect, it } from 'vitest';
import { parseShortChannelId } from '../../src/bolt/primitives.ts';
import { apportion, sparkline } from '../../src/playground/bars.ts';
import { CHANNELS, NAMES } from '../../src/playground/cast.ts';
import { clock, cut, piece, spread, toText, widthOf } from '../../src/playground/paint.ts';
import type { Scene } from '../../src/playground/scene.ts';
import { startScreen } from '../../src/playground/screen.ts';
import { renderScene } from '../../src/playground/view.ts';

const scene: Scene = {
  height: 12_345,
  uptime_ms: 3_725_000,
  address: 'http://127.0.0.1:8750',
  channels: CHANNELS.map(({ from, to, funding_satoshis, push_msat }, index) => ({
    from, to, short_channel_id: parseShortChannelId(`103x${index}x0`), phase: index === 3 ? 'resolving' : 'normal', usable: index < 3,
    left: funding_satoshis * 1000n - push_msat - 5_000_000n, leftOffers: 5_000_000n, rightOffers: index === 1 ? 1n : 0n, right: push_msat,
  })),
  nodes: NAMES.map((name) => ({ name, events: 123_456 })),
  payments: { succeeded: 98_765, failed: 12, delivered_msat: 123_456_789_000n, fees_msat: 987_654n, perSecond: 19.8, history: [0, 1, 5, 20, 19, 7], median_ms: 48.3 },
  lastPayments: Array.from({ length: 30 }, (_, i) => ({ time: '12:00:00', name: NAMES[i % 4]!, text: `paid dave ${i} sat`, tone: 'good' as const })),
  lastEvents: Array.from({ length: 30 }, (_, i) => ({ time: '12:00:00', name: NAMES[i % 4]!, text: `#${i} bob/0 ${'RevokeAndAckReceived '.repeat(12)}`, tone: 'plain' as const })),
};

describe('the view', () => {
  it.each([[80, 24], [120, 40], [60, 18], [300, 90], [40, 5]])('fits %i columns and %i rows', (columns, rows) => {
    const lines = renderScene(scene, { columns, rows });
    for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(columns);
    if (rows >= 18) expect(lines.length).toBeLessThan(rows);
  });

  it('shows names, balances, rate, last payments and where the API is', () => {
    const text = renderScene(scene, { columns: 100, rows: 40 }).map((line) => toText(line, false)).join('\n');
    for (const word of [...NAMES, '1,095,000 sat', 'in flight 5,000 sat', '19.8 a second', '98,765 succeeded', '12 failed', '48 ms', 'block 12,345', '1:02:05', 'http://127.0.0.1:8750', 'resolving', 'reconnecting', 'paid dave 29 sat']) {
      expect(text).toContain(word);
    }
  });

  it('holds no escape sequence without colours', () => {
    for (const line of renderScene(scene, { columns: 80, rows: 24 })) expect(toText(line, false)).not.toContain('\u001b');
  });

  it('has something to show before the first payment', () => {
    const empty: Scene = { ...scene, lastPayments: [], lastEvents: [], payments: { succeeded: 0, failed: 0, delivered_msat: 0n, fees_msat: 0n, perSecond: 0, history: [] } };
    expect(renderScene(empty, { columns: 80, rows: 24 })).toHaveLength(23);
  });
});

describe('a bar', () => {
  it('fills its width, and shows whatever is there at all', () => {
    for (const shares of [[1n, 0n, 0n, 1n], [10n ** 12n, 1n, 1n, 1n], [1n, 2n, 3n, 4n], [0n, 0n, 5n, 0n]]) {
      const columns = apportion(shares, 40);
      expect(columns.reduce((sum, column) => sum + column, 0)).toBe(40);
      shares.forEach((share, index) => expect(columns[index]! > 0).toBe(share > 0n));
    }
    expect(apportion([0n, 0n], 40)).toEqual([0, 0]);
  });

  it('draws rates to the scale of the largest', () => {
    expect(sparkline([0, 1, 8, 4], 6)).toBe('   ▂█▅');
    expect([...sparkline(Array.from({ length: 100 }, (_, i) => i), 30)]).toHaveLength(30);
  });
});

describe('a line', () => {
  it('is cut with an ellipsis, and spread with the right end kept', () => {
    const line = [piece('hello ', 'bold'), piece('world')];
    expect(toText(cut(line, 8), false)).toBe('hello w…');
    expect(toText(spread(line, [piece('end')], 20), false)).toBe('hello world      end');
    expect(toText(line, true)).toContain('\u001b[1m');
  });

  it('tells time as a clock does', () => {
    expect([0, 61_000, 3_600_000].map(clock)).toEqual(['0:00', '1:01', '1:00:00']);
  });
});

describe('a screen', () => {
  it('is left as it was found', () => {
    const written: string[] = [];
    const screen = startScreen({ isTTY: true, columns: 80, rows: 24, write: (text) => written.push(text) > 0 }, (size) => renderScene(scene, size));
    screen.stop();
    expect(written[0]).toContain('?1049h');
    expect(written[1]!.split('\r\n').length).toBeLessThanOrEqual(24);
    expect(written.at(-1)).toContain('?1049l');
    expect(written.at(-1)).toContain('?25h');
  });

  it('skips frames that the terminal has no room for', () => {
    const written: string[] = [];
    startScreen({ isTTY: true, writableNeedDrain: true, write: (text) => written.push(text) > 0 }, () => []).stop();
    expect(written).toHaveLength(2);
  });
});
