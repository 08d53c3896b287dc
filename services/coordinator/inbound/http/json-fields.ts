// Fields that several JSON routes have in common.
import { Type } from 'typebox';
import { sha256Hex } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import { isTextId } from '#mesh/ids';

/** A day, the longest life of a session or an edge. */
export const mostSeconds = 86_400;

export const pageFields = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500 })),
  cursor: Type.Optional(Type.String({ minLength: 1 })),
};

export const waitFields = {
  reason: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  wait: Type.Optional(Type.Literal('applied')),
  /** How long to wait; a unary call lasts 30 seconds at most. */
  timeout_ms: Type.Optional(Type.Integer({ minimum: 1, maximum: 25_000 })),
};

const keyForm = /^[\x21-\x7e]{1,255}$/;

/** The contract's form of an Idempotency-Key; one of another form stands for its digest. Empty when there is none. */
export function keyOf(header: string | undefined): string {
  if (header === undefined || isTextId(header)) return header ?? '';
  if (keyForm.test(header)) return `sha256:${sha256Hex(header)}`;
  throw fail('invalid_request', {
    fields: [{ path: 'Idempotency-Key', rule: '1 to 255 visible ASCII characters' }],
  });
}
