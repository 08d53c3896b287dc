// The Audit process: environment, configuration, wiring, run.
import { runService } from '#mesh/runtime';
import { loadAuditConfig } from './config.ts';
import { wire } from './wiring.ts';

await runService({ name: 'audit', env: process.env, load: loadAuditConfig, wire });
