/**
 * How bodies are read: strict JSON everywhere, forms where a route's standard asks for them.
 * It stands alone because a lenient parser in front of strict validation lets two readers see two values.
 */
import type { FastifyInstance } from 'fastify';
import { parseStrictJson } from '#mesh/canonical';
import { fail } from '#mesh/failure';

/** Deeper than any document of ours; policy documents and labels stay below 16. */
const maxJsonDepth = 32;

/** Replaces the framework's JSON parser: duplicate keys, lone surrogates and unsafe integers are refused. */
export function acceptStrictJson(app: FastifyInstance, limitBytes: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    ['application/json', 'application/merge-patch+json'],
    { parseAs: 'buffer', bodyLimit: limitBytes },
    async (_request: unknown, body: Buffer) =>
      // Many clients name the type and send nothing; whether a body is needed is the schema's word.
      body.length === 0 ? undefined : parseStrictJson(body, { maxBytes: limitBytes, maxDepth: maxJsonDepth }),
  );
}

/**
 * Lets routes of `app` take `application/x-www-form-urlencoded`; `request.body` is URLSearchParams then, so that the
 * route sees repeated parameters (RFC 6749 §3.2 forbids most of them).
 */
export function acceptForms(app: FastifyInstance, limitBytes: number): void {
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'buffer', bodyLimit: limitBytes },
    async (_request: unknown, body: Buffer) => {
      let text: string;
      try {
        text = new TextDecoder('utf-8', { fatal: true }).decode(body);
      } catch (cause) {
        throw fail('invalid_request', { cause });
      }
      return new URLSearchParams(text);
    },
  );
}
