// The API process: environment, configuration, wiring, run.
import { runService } from '#mesh/runtime';
import { loadApiConfig } from './config.ts';
import { wire } from './wiring.ts';

await runService({ name: 'api', env: process.env, load: loadApiConfig, wire });
