// Writes signed entries to streams, a batch in one pipeline, bounded as topology says. It alone knows how an entry is
// laid out in Redis.
import { streams, type StreamName } from '#mesh/topology';
import type { RedisCommand, RedisConnection } from './connection.ts';
import { RedisRefused, type RedisAway } from './errors.ts';
import type { StreamFields, StreamSigner } from './stream-signer.ts';

export interface Publication {
  readonly stream: StreamName;
  /** Without `_sig`. */
  readonly fields: StreamFields;
}

export type PublishOutcome =
  | { readonly kind: 'published'; readonly id: string }
  /** Redis answered and will not take this entry. */
  | { readonly kind: 'refused'; readonly error: RedisRefused }
  /** Nobody knows whether the entry arrived; it may be sent again. */
  | { readonly kind: 'away'; readonly error: RedisAway };

export interface Publisher {
  /** One pipeline; outcomes in the order of the entries. Entries of one call reach Redis in their order. Never rejects. */
  publish(entries: readonly Publication[]): Promise<readonly PublishOutcome[]>;
}

export interface PublisherOptions {
  readonly redis: RedisConnection;
  /** Without one entries go unsigned, which only the audit stream of a dev installation may. */
  readonly signer: StreamSigner | undefined;
}

export function createPublisher({ redis, signer }: PublisherOptions): Publisher {
  function command({ stream, fields }: Publication): RedisCommand {
    const { maxLength } = streams[stream];
    const bound = maxLength === undefined ? [] : ['MAXLEN', '~', maxLength];
    const signed = signer === undefined ? fields : signer.sign(stream, fields);
    return ['XADD', redis.key(stream), ...bound, '*', ...Object.entries(signed).flat()];
  }

  return {
    async publish(entries) {
      const replies = await redis.pipeline(entries.map(command));
      return replies.map((reply): PublishOutcome => {
        if (reply.ok) return { kind: 'published', id: String(reply.value) };
        const { error } = reply;
        return error instanceof RedisRefused ? { kind: 'refused', error } : { kind: 'away', error };
      });
    },
  };
}
