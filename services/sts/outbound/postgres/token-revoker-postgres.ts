// The TokenRevoker on sts_pub.revoke: evidence and anchor commit together, the anchor last (authority.md "Revocation").
import { fail } from '#mesh/failure';
import { enqueueAuditEvent } from '#mesh/outbox';
import { int8 } from '#mesh/postgres';
import type { ZoneTransaction } from '#mesh/postgres';
import type { TokenRevocation, TokenRevoker } from '../../ports/token-revoker.ts';
import { inZone } from './zone-reader.ts';
import type { ZoneShares } from './zone-shares.ts';

/** What the ledger and the anchors say of why. */
const reason = 'token_revocation';

async function writeAnchor(tx: ZoneTransaction, { anchor }: TokenRevocation): Promise<number> {
  const row = await tx.one<{ number: string }>('SELECT sts_pub.revoke($1, $2, $3) AS number', [
    tx.zoneId,
    JSON.stringify([{ kind: anchor.kind, anchor: anchor.id }]),
    reason,
  ]);
  return int8(row?.number ?? 0);
}

async function write(tx: ZoneTransaction, revocation: TokenRevocation): Promise<number> {
  const { requestId, traceId, applicationId, anchor, jti, use } = revocation;
  await enqueueAuditEvent(tx, {
    zoneId: tx.zoneId,
    eventType: 'token.revoked',
    requestId,
    traceId,
    decision: 'allow',
    metadata: { application_id: applicationId, jti, use, anchor_kind: anchor.kind, anchor: anchor.id },
  });
  return writeAnchor(tx, revocation);
}

export function createTokenRevoker(database: ZoneShares): TokenRevoker {
  return {
    async revoke(revocation) {
      const number = await inZone(database, revocation.zoneId, async (tx) => write(tx, revocation));
      if (number === undefined) throw fail('internal_error', { privateDetail: 'revocation in an impossible zone' });
      return number;
    },
  };
}
