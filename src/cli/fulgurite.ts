/** The command line: `fulgurite COMMAND`. Exit 0 when all is well, 1 when something is wrong, 2 for wrong usage. */
import { Command, CommanderError } from 'commander';
import { auditCommand, type AuditCommand } from './audit.ts';
import { addAskCommands } from './ask-commands.ts';
import { balanceCommand, type BalanceCommand } from './balance.ts';
import { feesCommand, type FeesCommand } from './fees.ts';
import { examples, type Run } from './help.ts';
import { logExportCommand, type LogExportCommand } from './log-export.ts';
import { logShowCommand, type LogShowCommand } from './log-show.ts';
import { nodeBalanceCommand } from './node-balance.ts';
import { addNodeCommands } from './node-commands.ts';
import { painter, toJson, WrongUsage, type Io } from './output.ts';
import { playgroundCommand, type PlaygroundOptions } from './playground.ts';

const VERSION = '0.1.0';
const PATH = 'a data folder, one node\'s folder, a database or an exported bundle';

/** Runs one command; never throws for what a person did. Answers the exit code. */
export async function main(argv: readonly string[], io: Io = process): Promise<number> {
  if (io === process) process.stdout.on('error', endWithReader);
  let exitCode = 0;
  const program = createProgram(io, async (run) => {
    exitCode = await run();
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    return explain(error, argv.includes('--json'), io);
  }
}

/** The reader went away, as `head` does: nothing is left to say. */
function endWithReader(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
}

/** One sentence on standard error; with --json the same as an object, for programs that read it. */
function explain(error: unknown, json: boolean, io: Io): number {
  // Commander has said its own on standard error; help and version end in its 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const { code, message } = describe(error);
  io.stderr.write(json ? `${toJson({ error: { code, message } })}\n` : `${painter(io.stderr)('red', 'error')}: ${message} (${code})\n`);
  return error instanceof WrongUsage ? 2 : 1;
}

/** Some errors say their code themselves: it is said once. */
function describe(error: unknown): { code: string; message: string } {
  const { code = 'failed', message = String(error) } = error as { code?: string; message?: string };
  return { code, message: message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message };
}

function createProgram(io: Io, run: Run): Command {
  const program = new Command('fulgurite')
    .description('An event-sourced Lightning Network engine: every state, past or present, can be derived again and verified.')
    .version(VERSION)
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
    .showHelpAfterError('(--help shows what is expected)');
  addNodeCommands(program, io, run);
  addAskCommands(program, io, run);
  addPlayground(program, io, run);
  const log = program.command('log').description('show or export what a log holds');
  addLogShow(log, io, run);
  addLogExport(log, io, run);
  addBalance(program, io, run);
  addFees(program, io, run);
  addAudit(program, io, run);
  return program;
}

function addPlayground(program: Command, io: Io, run: Run): void {
  program
    .command('playground')
    .description('four nodes in one process, on a chain of their own: channels, payments, and their logs')
    .option('--data <dir>', 'where the nodes keep their logs and seeds')
    .option('--once', 'tell a fixed story, audit every log, and end')
    .option('--json', 'print the summary as JSON on standard output')
    .option('--verbose', 'what the nodes have to say, too')
    .option('--port <port>', 'where the API answers', parsePort, 8750)
    .addHelpText('after', examples('playground', 'playground --once --json', 'playground --data ./data --port 8800'))
    .action((options: PlaygroundOptions) => run(() => playgroundCommand(options, io)));
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new WrongUsage('invalid_port', `--port: expected a number up to 65535, got ${text}`);
}

function addLogShow(log: Command, io: Io, run: Run): void {
  log
    .command('show')
    .description('channels as transcripts: numbered BOLT messages, and the balances, HTLCs and commitment numbers after each')
    .argument('<path>', PATH)
    .option('--node <name>', 'one node of a data folder')
    .option('--channel <stream>', 'one channel: its stream, or the beginning of its name')
    .option('--json', 'print one JSON array')
    .addHelpText('after', examples('log show ./data --node alice', 'log show ./data/alice --channel channel-02ab', 'log show alice.bundle --json'))
    .action((path: string, options: Omit<LogShowCommand, 'path'>) => run(() => logShowCommand({ ...options, path }, io)));
}

function addLogExport(log: Command, io: Io, run: Run): void {
  log
    .command('export')
    .description('one log as a bundle: every event as it was hashed, with signed checkpoints, to be audited anywhere')
    .argument('<path>', PATH)
    .option('-o, --output <file>', 'where to write it; standard output if left out')
    .option('--node <name>', 'one node of a data folder')
    .option('--force', 'replace the file')
    .option('--json', 'print what was written as JSON')
    .addHelpText('after', examples('log export ./data/alice -o alice.bundle', 'log export ./data --node bob > bob.bundle'))
    .action((path: string, options: Omit<LogExportCommand, 'path'>) => run(() => logExportCommand({ ...options, path }, io)));
}

function addBalance(program: Command, io: Io, run: Run): void {
  program
    .command('balance')
    .description('what a node owns, now, at a position of its log or at a time: a running node\'s, or that of logs at a path')
    .argument('[path]', `${PATH}; the running node if left out`)
    .option('--at <position|time>', 'a position (1234) or an ISO 8601 time; the end of the log if left out')
    .option('--node <name>', 'one node of a data folder')
    .option('--data <dir>', 'without a path: the data folder of the node that is meant')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('balance', 'balance ./data', 'balance --at 1234 ./data/alice', 'balance --at 2026-01-31T12:00:00Z --json ./data'))
    .action((path: string | undefined, options: Omit<BalanceCommand, 'path'> & { readonly data?: string }) => run(() => (path === undefined ? nodeBalanceCommand(options, io) : balanceCommand({ ...options, path }, io))));
}

function addFees(program: Command, io: Io, run: Run): void {
  program
    .command('fees')
    .description('who paid which on-chain fee, to the sat: a running node\'s, or that of logs at a path')
    .argument('[path]', `${PATH}; the running node if left out`)
    .option('--at <position|time>', 'a position (1234) or an ISO 8601 time; the end of the log if left out')
    .option('--node <name>', 'one node of a data folder')
    .option('--data <dir>', 'without a path: the data folder of the node that is meant')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('fees', 'fees ./data', 'fees --at 1234 --json ./data/alice'))
    .action((path: string | undefined, options: Omit<FeesCommand, 'path'> & { readonly data?: string }) => run(() => feesCommand({ ...options, path }, io)));
}

function addAudit(program: Command, io: Io, run: Run): void {
  program
    .command('audit')
    .description('believe nothing: check chains and checkpoints, replay every stream, derive every commitment, verify every signature and secret')
    .argument('<path>', PATH)
    .option('--node <name>', 'one node of a data folder')
    .option('--replay-only', 'leave the signatures of the channels out')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', `${examples('audit ./data', 'audit alice.bundle', 'audit --json ./data/alice')}
Needs no seed and no network. Exits 1 when anything is wrong, and names stream, revision and reason.
`)
    .action((path: string, options: Omit<AuditCommand, 'path'>) => run(() => auditCommand({ ...options, path }, io)));
}
