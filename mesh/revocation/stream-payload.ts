// Typed reading of what travels on invalidation streams. The signature said who wrote it; this says what it is.
import { fromJson } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { AnchorKind, RevocationSchema, StreamHeartbeatSchema } from '#gen/caracal/event/v1/event_pb';
import { parseStrictJson } from '#mesh/canonical';
import type { JsonValue } from '#mesh/failure';
import type { AnchorKindName } from '#mesh/mandate';
import type { StreamFields } from '#mesh/redis';
import type { Anchor } from './anchor.ts';

export interface Heartbeat {
  readonly incarnation: string;
  readonly head: number;
  readonly unpublishedMs: number;
  readonly databaseTimeMs: number;
}

/** A numbered entry before anyone has looked into its payload. */
export interface NumberedEntry {
  readonly incarnation: string;
  readonly number: number;
  /** Undefined when the text is no JSON that two readers would understand alike. */
  readonly payload: JsonValue | undefined;
}

// The largest payload is a cascade of a delegation change; each is far below.
const LIMITS = { maxBytes: 1024 * 1024, maxDepth: 16 };
const NUMBER = /^[1-9][0-9]{0,15}$/;

const ANCHOR_KINDS: Readonly<Partial<Record<AnchorKind, AnchorKindName>>> = {
  [AnchorKind.SESSION]: 'session',
  [AnchorKind.AGENT_SESSION]: 'agent_session',
  [AnchorKind.EDGE]: 'edge',
  [AnchorKind.JTI]: 'jti',
  [AnchorKind.APPLICATION]: 'application',
  [AnchorKind.SUBJECT]: 'subject',
  [AnchorKind.ZONE_KEY]: 'zone_key',
  [AnchorKind.ZONE]: 'zone',
};

function readJson(text: string | undefined): JsonValue | undefined {
  if (text === undefined) return undefined;
  try {
    return parseStrictJson(text, LIMITS);
  } catch {
    return undefined;
  }
}

export function isHeartbeat(fields: StreamFields): boolean {
  return fields['hb'] === '1';
}

export function readHeartbeat(fields: StreamFields): Heartbeat | undefined {
  const json = readJson(fields['data']);
  if (json === undefined) return undefined;
  try {
    const beat = fromJson(StreamHeartbeatSchema, json as never);
    if (beat.databaseTime === undefined || beat.incarnation === '') return undefined;
    return {
      incarnation: beat.incarnation,
      head: Number(beat.head),
      unpublishedMs: Number(beat.unpublishedMs),
      databaseTimeMs: timestampMs(beat.databaseTime),
    };
  } catch {
    return undefined;
  }
}

export function readNumberedEntry(fields: StreamFields): NumberedEntry | undefined {
  const { incarnation, number } = fields;
  if (incarnation === undefined || incarnation === '' || number === undefined || !NUMBER.test(number)) return undefined;
  return { incarnation, number: Number(number), payload: readJson(fields['data']) };
}

/** The anchor of a payload, when it is one and carries the number of its entry. */
export function readAnchor({ number, payload }: NumberedEntry): Anchor | undefined {
  if (payload === undefined) return undefined;
  try {
    const revocation = fromJson(RevocationSchema, payload as never);
    const kind = ANCHOR_KINDS[revocation.kind];
    const { zoneId, anchor: id, reason, revokedAt } = revocation;
    if (kind === undefined || zoneId === '' || id === '' || revokedAt === undefined) return undefined;
    if (Number(revocation.number) !== number) return undefined;
    return { number, zoneId, kind, id, reason, revokedAtMs: timestampMs(revokedAt) };
  } catch {
    return undefined;
  }
}
