/** All stories with LDK, in their order, and how one is told. */
import { channelStories } from './stories-channel.ts';
import { endings } from './stories-endings.ts';
import { networkStories } from './stories-network.ts';
import { privateStories } from './stories-private.ts';
import { grouped, type Story } from './story.ts';
import { FORMATS, mustBe, World } from './world.ts';

export interface StoryOptions {
  /** Each way, where there are many; 1,000 unless told. */
  readonly payments?: number;
  /** Of the moments at which either side restarts. */
  readonly seed: number;
}

export const allStories = (options: StoryOptions): readonly Story[] => [
  ...FORMATS.flatMap((format) => [...channelStories(format, options), ...endings(format, options), ...networkStories(format), ...privateStories(format)]),
  auditStory,
];

/** The part that `npm test` has time for: of the endings the one where both sides' anchors have to pay. */
export const fewStories = (options: StoryOptions): readonly Story[] => [
  ...channelStories('anchors_zero_fee_htlc_tx', { payments: 40 }),
  ...endings('anchors_zero_fee_htlc_tx', { ...options, only: /force: opened by LDK, closed by LDK/ }),
  ...privateStories('anchors_zero_fee_htlc_tx'),
  auditStory,
];

/** alice and carol are ours, ldk and dora LDK's; alice knows ldk. */
export async function startWorld(): Promise<World> {
  const world = await World.start(['alice', 'carol'], ['ldk', 'dora']);
  await world.connect('alice', 'ldk');
  return world;
}

const auditStory: Story = {
  name: 'our logs audit clean',
  async tell(world) {
    mustBe('transactions of LDK that the daemon refused', '', world.refused.join('; '));
    return (await world.audits()).map(({ name, report }) => {
      const { events, signatures_verified, msat_difference, failures } = report;
      mustBe(`the audit of ${name}`, '', failures.map(({ code, reason }) => `${code}: ${reason}`).join('; '));
      mustBe(`msat that ${name}'s log does not account for`, 0n, msat_difference);
      return `${name}: ${grouped(events)} events, ${grouped(signatures_verified)} signatures, 0 msat not accounted for`;
    });
  },
};
