// Sealed secrets over HTTP: what an operator does after ZONE_KEK took the place of another.
import { Type } from 'typebox';
import { fail } from '#mesh/failure';
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { closing, sendLines, wantsLines } from '../progress-lines.ts';
import { type Router, addRoute } from '../route.ts';
import * as form from '../schemas.ts';
import { toWire } from '../wire-names.ts';

const ResealSecrets = Type.Object({ zone_id: Type.Optional(form.id) });

const Resealed = Type.Object({
  checked: Type.Integer({ description: 'Sealed values looked at.' }),
  resealed: Type.Integer({ description: 'Sealed under the present key by this call.' }),
  current: Type.Integer({ description: 'Under the present key before.' }),
  failed: Type.Integer({ description: 'Opened by no key of the STS; the ledger names each (secret.unopenable).' }),
  done: Type.Boolean(),
});

export function addSecretRoutes(router: Router, flows: ApiFlows['secrets']): void {
  addRoute(router, {
    ...{ method: 'POST', url: '/v1/secrets/reseal', tag: 'secrets', access: 'write', reach: 'global' },
    summary: 'Seal everything under ZONE_KEK; with Accept: application/x-ndjson the progress line by line',
    body: ResealSecrets,
    bodyOptional: true,
    response: { 200: Resealed },
    handle: async ({ admin, body, request, reply }) => {
      const progress = flows.reseal(admin, { zoneId: body.zone_id, signal: closing(reply) });
      if (wantsLines(request)) {
        await sendLines(reply, progress);
        return { status: 200 };
      }
      let last: object | undefined;
      for await (const step of progress) last = step;
      if (last === undefined) throw fail('sts_unavailable');
      return { status: 200, body: toWire(last) };
    },
  });
}
