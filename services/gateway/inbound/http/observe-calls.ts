// What a finished call leaves in metrics and log: its outcome, never its content.
import type { Logger } from '#mesh/telemetry';
import type { EndedCall } from '../../flows/forward-request/exchange.ts';
import type { GatewayMetrics } from '../../metrics.ts';

export function createCallObserver(metrics: GatewayMetrics, logger: Logger): (call: EndedCall) => void {
  return (call) => {
    const { status, outcome, failure, milliseconds, reused } = call;
    metrics.calls.inc({ outcome, status: String(status) });
    metrics.callSeconds.observe(milliseconds / 1000, { decided_by: reused ? 'reuse' : 'sts' });
    const fields = {
      requestId: call.requestId,
      traceId: call.traceId,
      zoneId: call.zoneId,
      status,
      outcome,
      milliseconds: Math.round(milliseconds),
      ...(failure === undefined ? {} : { error: failure }),
    };
    if (status >= 500) logger.warn(fields, 'a governed call failed');
    else if (failure !== undefined) logger.info(fields, 'a governed call was refused or cut');
    else logger.debug(fields, 'a governed call ended');
  };
}
