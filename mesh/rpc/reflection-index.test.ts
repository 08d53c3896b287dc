// Reflection answers with every file a client needs, for every name it may ask.
import { create, createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { AuditService } from '#gen/caracal/audit/v1/audit_pb';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { createReflectionIndex } from './reflection-index.ts';

const index = createReflectionIndex([StsService, AuditService]);

test('names the services in order', () => {
  expect(index.services).toEqual(['caracal.audit.v1.AuditService', 'caracal.sts.v1.StsService']);
});

test.each([
  'caracal.audit.v1.AuditService',
  'caracal.audit.v1.AuditService.GetTrace',
  'caracal.audit.v1.GetTraceRequest',
  'caracal.audit.v1.GetTraceRequest.zone_id',
  'caracal.event.v1.AuditEvent',
  'google.protobuf.Timestamp',
])('answers %s with a complete set of files', (symbol) => {
  const files = index.bySymbol(symbol)!.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: files.toReversed() }));
  const type = symbol.replace(/\.(?:GetTrace|zone_id)$/, '');
  expect(registry.get(type)?.typeName).toBe(type);
});

test('answers by file name, and nothing for what is not served', () => {
  expect(index.byFileName('caracal/audit/v1/audit.proto')).toBeDefined();
  expect(index.byFileName('caracal/coordinator/v1/coordinator.proto')).toBeUndefined();
  expect(index.bySymbol('caracal.coordinator.v1.CoordinatorService')).toBeUndefined();
  expect(index.bySymbol('constructor')).toBeUndefined();
  expect(index.isMessage('caracal.audit.v1.Finding')).toBe(true);
  expect(index.isMessage('caracal.audit.v1.AuditService')).toBe(false);
});
