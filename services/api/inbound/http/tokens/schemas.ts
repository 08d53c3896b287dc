// A question about a token on the wire, and its answer (RFC 7662 §2.2).
import { Type } from 'typebox';
import type { TokenState } from '../../../domain/token-state.ts';

export const Introspect = Type.Object({
  // No mandate is longer.
  token: Type.String({ minLength: 1, maxLength: 8192, description: 'The mandate as it was issued.' }),
});

export const Introspection = Type.Unsafe<TokenState>({
  type: 'object',
  description:
    'The claims of a mandate that is worth something now; {"active": false} and nothing else for any other text.',
  required: ['active'],
  properties: {
    active: { type: 'boolean' },
    token_type: { type: 'string' },
    sub: { type: 'string' },
    client_id: { type: 'string' },
    scope: { type: 'string' },
    exp: { type: 'integer', description: 'Seconds since the epoch.' },
  },
  additionalProperties: true,
});
