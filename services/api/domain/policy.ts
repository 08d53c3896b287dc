// Policies, their immutable versions, and the set versions a zone may enforce.
import type { JsonObject } from '#mesh/failure';

export interface Policy {
  readonly id: string;
  readonly zoneId: string;
  readonly name: string;
  readonly description?: string | undefined;
  /** Of the newest version. */
  readonly latestVersion?: number | undefined;
  readonly createdAt: string;
}

export interface PolicyVersion {
  readonly id: string;
  readonly zoneId: string;
  readonly policyId: string;
  /** Counts from 1. */
  readonly version: number;
  readonly contentSha256: string;
  readonly schemaVersion: string;
  readonly createdAt: string;
}

export interface PolicySet {
  readonly id: string;
  readonly zoneId: string;
  readonly name: string;
  readonly description?: string | undefined;
  /** The version of this set that the zone enforces; absent when it enforces none of this set. */
  readonly activeVersionId?: string | undefined;
  /** The version of this set that the zone watches; absent when it watches none of this set. */
  readonly shadowVersionId?: string | undefined;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface ManifestEntry {
  readonly policyVersionId: string;
}

export interface PolicySetVersion {
  readonly id: string;
  readonly zoneId: string;
  readonly policySetId: string;
  readonly version: number;
  /** [{policy_version_id}] in the order of evaluation. */
  readonly manifest: readonly JsonObject[];
  readonly params: JsonObject;
  readonly digest: string;
  readonly active: boolean;
  /** Evaluated beside the active one, never enforced. */
  readonly shadow: boolean;
  readonly activatedAt?: string | undefined;
  readonly createdAt: string;
}

/** A policy version with the text that is evaluated. */
export interface PolicySource {
  readonly policyVersionId: string;
  readonly name: string;
  readonly content: string;
  readonly contentSha256: string;
  /** The policy has been archived since: it enforces where it is active and enters no new set. */
  readonly archived: boolean;
}

/** The shape of `input` that policies are written against (the STS's decision input). */
export const inputSchemaVersion = '2026-11-01';

/** Contents of one set together, bytes: a set travels to the STS in one message of 1 MiB with its params and names. */
export const maxSetBytes = 640 * 1024;
/** The data of a set version, bytes of its canonical text: what the STS takes. */
export const maxParamsBytes = 256 * 1024;

/** The policy versions a manifest names, in order. */
export function manifestIds(manifest: readonly JsonObject[]): string[] {
  return manifest.flatMap((entry) => {
    const id = entry['policy_version_id'];
    return typeof id === 'string' ? [id] : [];
  });
}
