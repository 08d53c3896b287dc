// The STS as a process.
import { runService } from '#mesh/runtime';
import { loadStsConfig } from './config.ts';
import { wire } from './wiring.ts';

await runService({ name: 'sts', env: process.env, load: loadStsConfig, wire });
