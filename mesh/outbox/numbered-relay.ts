// Publishes the numbered streams of a service, in number order, and beats once a second. It stands alone because exactly one
// process may do this: the one that holds the lead, for as long as its connection lives.
import type { Leadership } from '#mesh/postgres';
import { numberedSources, type NumberedSource } from './numbered-source.ts';
import type { RelayMetrics, RelayOptions } from './relay-options.ts';
import { heartbeatFields } from './stream-fields.ts';
import type { WakeUp } from './wake-up.ts';

/** Heartbeats are a second apart, and one older than that when it could be sent is not sent. */
const beatMs = 1_000;

/** How long a replica that does not lead waits before it asks again. */
const standbyMs = 1_000;

/** Pause after Redis or the database failed; the next try may be the one that works. */
const faultPauseMs = 250;

export interface NumberedRelay {
  readonly options: RelayOptions;
  readonly metrics: RelayMetrics;
  readonly wakeUp: WakeUp;
  readonly stop: AbortSignal;
}

/** Leads whenever nobody else does, until stopped. */
export async function runNumberedRelay(relay: NumberedRelay): Promise<void> {
  const { database, clock, logger, service } = relay.options;
  const sources = numberedSources(service);
  while (!relay.stop.aborted && sources.length > 0) {
    try {
      await using lead = await database.tryLead('relay');
      if (lead !== undefined) await serveTerm(relay, sources, lead);
    } catch (error) {
      logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'the lead of the relay was lost');
    }
    await clock.sleep(standbyMs, relay.stop).catch(() => {});
  }
}

/** One term. Ends with the stop, or by rejecting when the connection that holds the lead fails. */
async function serveTerm(relay: NumberedRelay, sources: readonly NumberedSource[], lead: Leadership): Promise<void> {
  const { clock, pollMs } = relay.options;
  const end = AbortSignal.any([relay.stop, lead.lost]);
  let beat = 0;
  let nextBeatMs = clock.monotonic();
  while (!end.aborted) {
    let calm = true;
    for (const source of sources) calm = (await drain(relay, source, lead)) && calm;
    if (clock.monotonic() >= nextBeatMs) {
      beat += 1;
      nextBeatMs = Math.max(nextBeatMs + beatMs, clock.monotonic());
      for (const source of sources) await sendBeat(relay, source, { lead, beat });
    }
    const untilBeatMs = Math.max(0, nextBeatMs - clock.monotonic());
    await relay.wakeUp.wait(calm ? Math.min(untilBeatMs, pollMs) : Math.min(untilBeatMs, faultPauseMs), end);
  }
  lead.lost.throwIfAborted();
}

/**
 * Publishes until nothing is left; false when Redis would not take an entry, which is then tried again, for ever. After a
 * failure inside a pipeline later numbers may already be in Redis: readers act in growing order only and read what they miss.
 */
async function drain(relay: NumberedRelay, source: NumberedSource, lead: Leadership): Promise<boolean> {
  const { options, metrics } = relay;
  while (!relay.stop.aborted) {
    const entries = await source.unpublished(lead, options.batchSize);
    if (entries.length === 0) return true;
    // What was read is published at once, or not at all: another may lead by the time anything was waited for.
    lead.lost.throwIfAborted();
    const outcomes = await options.publisher.publish(entries.map(({ fields }) => ({ stream: source.stream, fields })));
    const failedAt = outcomes.findIndex((outcome) => outcome.kind !== 'published');
    const count = failedAt === -1 ? entries.length : failedAt;
    const last = entries[count - 1];
    if (last !== undefined) {
      await source.advance(lead, last.number);
      metrics.published(source.stream, count);
    }
    const failed = failedAt === -1 ? undefined : outcomes[failedAt];
    if (failed?.kind === 'refused') {
      metrics.refused(source.stream);
      options.logger.error(
        { stream: source.stream, number: entries[failedAt]?.number, error: failed.error.message },
        'Redis refuses an invalidation: it is tried again for ever, and everything behind it waits',
      );
    }
    if (failed?.kind === 'away') metrics.away();
    if (failed !== undefined) return false;
  }
  return true;
}

/** Head and age are read in the very second in which they are told; a reading that grew old is dropped. */
async function sendBeat(
  relay: NumberedRelay,
  source: NumberedSource,
  { lead, beat }: { lead: Leadership; beat: number },
): Promise<void> {
  const { clock, publisher } = relay.options;
  const issuedMs = clock.monotonic();
  const state = await source.state(lead);
  relay.metrics.numbered(source.stream, state);
  if (clock.monotonic() - issuedMs >= beatMs) return;
  lead.lost.throwIfAborted();
  await publisher.publish([{ stream: source.stream, fields: heartbeatFields(state, beat) }]);
}
