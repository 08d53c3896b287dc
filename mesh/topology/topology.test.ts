import { readFileSync, readdirSync } from 'node:fs';
import { AuditService } from '#gen/caracal/audit/v1/audit_pb';
import { CoordinatorService } from '#gen/caracal/coordinator/v1/coordinator_pb';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { Health } from '#gen/grpc/health/v1/health_pb';
import { ServerReflection } from '#gen/grpc/reflection/v1/reflection_pb';
import { ServerReflection as ServerReflectionAlpha } from '#gen/grpc/reflection/v1alpha/reflection_pb';
import { describe, expect, test } from 'vitest';
import { isServiceName, isStreamName, ports, rpcs, services, streams } from './index.ts';

/** `<package>.<Service>/<Method>` of every method written in proto/. */
function protoMethods(): string[] {
  const files = readdirSync('proto', { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.proto'));
  return files.flatMap((path) => {
    const text = readFileSync(`proto/${path}`, 'utf8').replaceAll(/\/\/.*$/gm, '');
    const [, name = ''] = /^package ([\w.]+);/m.exec(text) ?? [];
    return [...text.matchAll(/^service (\w+) \{([\s\S]*?)^\}/gm)].flatMap(([, service = '', body = '']) =>
      [...body.matchAll(/^\s*rpc (\w+)\(/gm)].map(([, method = '']) => `${name}.${service}/${method}`),
    );
  });
}

describe('the list of callers', () => {
  test('has every method of every contract and no other', () => {
    const own = Object.keys(rpcs).filter((name) => name.startsWith('caracal.'));
    expect(own.toSorted()).toEqual(protoMethods().toSorted());
  });

  test('has every method of the generated services, health and reflection included', () => {
    const generated = [AuditService, CoordinatorService, StsService, Health, ServerReflection, ServerReflectionAlpha];
    const names = generated.flatMap(({ typeName, methods }) => methods.map(({ name }) => `${typeName}/${name}`));
    expect(Object.keys(rpcs).toSorted()).toEqual(names.toSorted());
  });

  test('names someone for each method, and anyone only for health', () => {
    for (const [name, { callers, sentence }] of Object.entries(rpcs)) {
      expect(callers.length, name).toBeGreaterThan(0);
      expect(sentence, name).toMatch(/^[A-Z].+\.$/);
      expect(callers.includes('anyone'), name).toBe(name.startsWith('grpc.health.'));
    }
  });

  test('lets only the Gateway ask for credentials and only the Coordinator for session mandates', () => {
    expect(rpcs['caracal.sts.v1.StsService/Authorize']?.callers).toEqual(['gateway']);
    expect(rpcs['caracal.sts.v1.StsService/MintSession']?.callers).toEqual(['coordinator']);
  });

  test('gives agents nothing but the Coordinator and the revocations of their zone', () => {
    const forBearers = Object.entries(rpcs).filter(([, { callers }]) => callers.includes('bearer'));
    const elsewhere = forBearers.map(([name]) => name).filter((name) => !name.startsWith('caracal.coordinator.v1.'));
    expect(elsewhere).toEqual(['caracal.sts.v1.StsService/WatchRevocations']);
  });
});

describe('services', () => {
  test('listen on ports of their own', () => {
    expect(new Set(Object.values(ports)).size).toBe(services.length);
    expect(ports).toEqual({ sts: 8080, api: 3000, gateway: 8081, coordinator: 4000, audit: 9090 });
  });

  test('are known by name, and nothing an object inherits is', () => {
    expect(isServiceName('sts')).toBe(true);
    for (const name of ['console', 'toString', '', undefined, 1]) expect(isServiceName(name)).toBe(false);
  });
});

describe('streams', () => {
  test('are relayed by a service that may write them', () => {
    for (const [name, { owner, producers, consumers }] of Object.entries(streams)) {
      expect(producers.includes(owner) || owner === 'audit', name).toBe(true);
      expect(consumers.length, name).toBeGreaterThan(0);
    }
  });

  test('of invalidations have one writer, and the Gateway and the STS read them', () => {
    for (const [name, { kind, producers, consumers }] of Object.entries(streams)) {
      if (kind !== 'invalidation') continue;
      expect(producers, name).toHaveLength(1);
      expect(consumers.toSorted(), name).toEqual(['gateway', 'sts']);
    }
    expect(streams['caracal.sessions.revoke'].producers).toEqual(['sts']);
    expect(streams['caracal.keys.invalidate'].producers).toEqual(['sts']);
  });

  test('are bounded in length, all but the audit stream', () => {
    const unbounded = Object.entries(streams).filter(([, { maxLength }]) => maxLength === undefined);
    expect(unbounded.map(([name]) => name)).toEqual(['caracal.audit.events']);
    expect(streams['caracal.audit.events'].groups).toEqual(['audit-ingestor', 'siem-export']);
  });

  test('are known by name', () => {
    expect(isStreamName('caracal.audit.events')).toBe(true);
    expect(isStreamName('constructor')).toBe(false);
  });
});
