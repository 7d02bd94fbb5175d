/** BOLT 5, "Failing a Channel": whether our own commitment may go to the chain. */

/** Data loss must not publish what may be revoked. Nor does anything spend an output that was never ours. */
const UNPUBLISHABLE: ReadonlySet<string> = new Set(['data_loss', 'funding_amount_differs', 'funding_script_differs']);

/** By the code of the channel's failure. */
export const mayPublish = (failureCode: string): boolean => !UNPUBLISHABLE.has(failureCode);
