// Puts aside what no consumer can take, with the reason and the entry as it was. The acknowledgement comes after it.
import type { StreamName } from '#mesh/topology';
import { RedisAway } from './errors.ts';
import type { Publisher } from './publisher.ts';
import type { StreamEntry } from './stream-entry.ts';

export interface DeadLetter {
  readonly entry: StreamEntry;
  readonly reason: string;
}

export interface DeadLetterBox {
  readonly stream: StreamName;
  readonly publisher: Publisher;
  readonly group: string;
}

// Reasons are our own words; a handler that passes on a longer text must not fill the stream with it.
const REASON_CHARACTERS = 200;

// oxlint-disable-next-line no-control-regex -- control characters may not stand in a stream field
const CONTROL = /[\u0000-\u001f]/g;

/** All of them in one pipeline. Rejects unless every one was written. The entry stands in `entry` as JSON text. */
export async function writeDeadLetters(letters: readonly DeadLetter[], box: DeadLetterBox): Promise<void> {
  const outcomes = await box.publisher.publish(
    letters.map(({ entry, reason }) => ({
      stream: box.stream,
      fields: {
        original_id: entry.id,
        original_stream: entry.stream,
        group: box.group,
        reason: reason.slice(0, REASON_CHARACTERS).replace(CONTROL, ' '),
        // JSON text escapes every control character, so any entry fits into a signed field.
        entry: JSON.stringify(entry.fields),
      },
    })),
  );
  for (const outcome of outcomes) {
    if (outcome.kind !== 'published') throw new RedisAway('a dead letter was not written', outcome.error);
  }
}
