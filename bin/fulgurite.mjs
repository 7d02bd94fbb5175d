#!/usr/bin/env node
/** The command line's door: makes the clone ready if it is not, then hands over to `src/cli`. */
import { prepare } from './prepare.mjs';

if (prepare({ build: true })) {
  const { main } = await import('../dist/cli/fulgurite.js');
  process.exitCode = await main(process.argv.slice(2));
} else {
  process.exitCode = 1;
}
