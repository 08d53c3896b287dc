// StsService on the router: the unary calls and the Authorize stream, each behind the topology's gate.
import type { ConnectRouter } from '@connectrpc/connect';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { callFactsOf, callerOf } from '#mesh/rpc';
import { serveAuthorize } from './authorize-stream.ts';
import type { AuthorizeStreamDeps } from './authorize-stream.ts';
import { keyCalls } from './key-calls.ts';
import type { KeyFlows } from './key-calls.ts';
import { policyHandlers } from './policy-calls.ts';
import type { PolicyFlows } from './policy-calls.ts';
import { providerCalls } from './provider-calls.ts';
import { tokenCalls } from './token-calls.ts';
import type { TokenCallFlows } from './token-calls.ts';
import { noPeer, unaryHandlers } from './unary.ts';
import type { UnaryFlows } from './unary.ts';

/** The label of the TLS exporter both ends bind their hello to (RFC 8446 §7.5). */
const exporterLabel = 'EXPORTER-caracal-authorize-v1';
const exporterBytes = 32;

export interface StsServiceDeps {
  readonly unary: UnaryFlows;
  readonly providers: Parameters<typeof providerCalls>[0];
  readonly policy: PolicyFlows;
  readonly keys: KeyFlows;
  readonly tokens: TokenCallFlows;
  readonly authorize: AuthorizeStreamDeps;
  readonly onStream: (opened: boolean) => void;
}

/** Registers the service. */
export function addStsService(router: ConnectRouter, deps: StsServiceDeps): void {
  router.service(StsService, {
    ...unaryHandlers(deps.unary),
    ...providerCalls(deps.providers),
    ...policyHandlers(deps.policy),
    ...keyCalls(deps.keys),
    ...tokenCalls(deps.tokens),
    async *authorize(requests, context) {
      const caller = callerOf(context);
      if (caller.kind !== 'peer') noPeer();
      const exporter = callFactsOf(context).connection?.exportKeyingMaterial(exporterLabel, exporterBytes);
      deps.onStream(true);
      try {
        yield* serveAuthorize(
          deps.authorize,
          { spiffeId: caller.spiffeId, exporter: exporter ?? Buffer.alloc(0), signal: context.signal },
          requests,
        );
      } finally {
        deps.onStream(false);
      }
    },
  });
}
