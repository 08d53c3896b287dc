// The statements that read zones and resources across all zones, as the Gateway's loader.
import { int8, type Database } from '#mesh/postgres';
import type { Resource } from '../../domain/routing.ts';

interface ResourceRow {
  readonly id: string;
  readonly zone_id: string;
  readonly zone_slug: string;
  readonly identifier: string;
  readonly slug: string;
  readonly name: string;
  readonly kind: string;
  readonly scopes: string[];
  readonly rate_limit_per_min: number | null;
  readonly allow_odd_paths: boolean;
  readonly version: string;
}

const columns = `r.id, r.zone_id, z.slug AS zone_slug, r.identifier, r.slug, r.name, r.kind, r.scopes,
  r.rate_limit_per_min, r.allow_odd_paths, r.version`;
const source =
  'api_pub.all_resources() AS r JOIN api_pub.all_zones() AS z ON z.id = r.zone_id AND z.archived_at IS NULL';

/** Every live resource of every live zone. */
export async function readAllResources(database: Database): Promise<Resource[]> {
  return await database.acrossZones(async (tx) =>
    (await tx.query<ResourceRow>(`SELECT ${columns} FROM ${source}`)).map(resourceOf),
  );
}

export interface ResourceFilter {
  readonly ids: readonly string[];
  readonly zoneIds: readonly string[];
  /** Identifiers or slugs. */
  readonly names: readonly string[];
}

/** The live ones among those that the filter names in any way. */
export async function readResources(database: Database, filter: ResourceFilter): Promise<Resource[]> {
  const statement = `SELECT ${columns} FROM ${source}
    WHERE r.id = ANY($1::text[]) OR r.zone_id = ANY($2::text[]) OR r.identifier = ANY($3::text[]) OR r.slug = ANY($3::text[])`;
  return await database.acrossZones(async (tx) =>
    (await tx.query<ResourceRow>(statement, [filter.ids, filter.zoneIds, filter.names])).map(resourceOf),
  );
}

function resourceOf(row: ResourceRow): Resource {
  return {
    id: row.id,
    zoneId: row.zone_id,
    zoneSlug: row.zone_slug,
    identifier: row.identifier,
    slug: row.slug,
    name: row.name,
    kind: row.kind === 'mcp' || row.kind === 'grpc' ? row.kind : 'http',
    scopes: row.scopes,
    rateLimitPerMinute: row.rate_limit_per_min ?? undefined,
    oddPathsAllowed: row.allow_odd_paths,
    version: int8(row.version),
  };
}
