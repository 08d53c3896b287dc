// Forms that several aggregates have in common. Every text is bounded and free of control characters; names of unknown
// fields are refused by the validator.
import { Type, type TSchema } from 'typebox';
import { slugPattern } from '../../domain/slug.ts';

/** One line of text for people. `\p{Cc}`: control characters, which forge log lines and terminals. */
export const line = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: String.raw`^\P{Cc}+$`, description });

export const displayName = line(256, 'What people call it.');
export const description = line(4096, 'For people.');

/** An id in a path, in a body or in a query. */
export const id = Type.String({ pattern: '^[A-Za-z0-9_.:-]{1,128}$', description: 'An id.' });

export const slug = Type.String({
  pattern: slugPattern,
  description: 'Stands in paths: lower-case letters, digits and inner dashes, at most 63.',
});

export const timestamp = Type.String({ description: 'UTC to the microsecond, YYYY-MM-DDTHH:MM:SS.ffffffZ.' });
export const version = Type.Integer({ description: 'Counts changes; the value of ETag.' });

export const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** A JSON object of the caller's own making. */
export const document = (about: string) =>
  Type.Unsafe<Record<string, never>>({ type: 'object', description: about, additionalProperties: true });

export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, description: 'Items of this page; 100 when absent.' })),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 512, description: 'next_cursor of the page before.' })),
};
export const PageQuery = Type.Object(pageQuery);

export const pageOf = <T extends TSchema>(item: T) =>
  Type.Object({
    items: Type.Array(item),
    next_cursor: nullable(Type.String({ description: 'Gives the next page; null on the last.' })),
  });

export const zoneParams = Type.Object({ zone_id: id });

export const ErrorBody = Type.Object(
  {
    error: Type.String({ description: 'The reason, from docs/reference/errors.md.' }),
    error_description: Type.String(),
    requestId: Type.String(),
    details: Type.Optional(document('Facts that are safe to show.')),
  },
  { description: 'Why the request was refused.' },
);

/** On every call that revokes. */
export const WaitQuery = Type.Object({
  wait: Type.Optional(Type.Enum(['applied'], { description: 'Answer when every live enforcement point applied it.' })),
  timeout_ms: Type.Optional(Type.Integer({ minimum: 1, maximum: 25_000, description: '10000 when absent.' })),
});

export const Barrier = Type.Object({
  applied: Type.Boolean({ description: 'Every live enforcement point has applied it.' }),
  points: Type.Integer(),
  gone: Type.Integer({ description: 'Points given up since.' }),
  elapsed_ms: Type.Integer(),
});

/** What a call that revokes by itself answers when it was asked to wait. */
export const Ended = Type.Object({
  revocation_number: Type.Integer({ description: 'Mandates with a lower `rev` are refused.' }),
  applied: Type.Boolean(),
  barrier: Barrier,
});
