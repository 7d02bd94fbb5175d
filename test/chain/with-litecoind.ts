/** Stories that need a litecoind: where there is none, they are skipped, and the reason is printed once. */
import { describe } from 'vitest';
import { whyNoLitecoind } from '../support/litecoind.ts';

const missing = whyNoLitecoind();
if (missing !== undefined) console.warn(`the chain stories are skipped: ${missing}`);

export function describeWithLitecoind(name: string, stories: () => void): void {
  describe.skipIf(missing !== undefined)(name, () => void stories());
}
