// Health: liveness, readiness within a budget, and draining, for every surface that is asked.
export {
  createHealth,
  type DependencyState,
  type Health,
  type HealthCheck,
  type HealthOptions,
  type Readiness,
} from './health.ts';
