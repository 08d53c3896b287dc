// Rules about installed packages: which code may name which of them.
// They stand alone because a driver that leaks out of its library can never be replaced again.
import type { IForbiddenRuleType } from 'dependency-cruiser';
import { drivers } from '../layout.ts';
import { anyNpm, ban, npm, testFile, testPackage } from './rule.ts';

/** Tests of tools look at what was started with the plainest client there is, as tests under test/ do. */
const toolTest = '^(?:dev|bench)/.*\\.test\\.ts$';

export const packages: readonly IForbiddenRuleType[] = [
  ...drivers.map(({ name, npm: pattern, owner }) =>
    ban({
      name: `driver-${name}`,
      from: { pathNot: [`^mesh/${owner}/`, '^test/', toolTest, anyNpm] },
      to: { path: npm(pattern) },
      remedy: `Only mesh/${owner} touches this driver: use #mesh/${owner}, and add there what is missing.`,
    }),
  ),
  ban({
    name: 'jose-has-three-homes',
    from: { pathNot: ['^mesh/(?:mandate|identity)/', '^services/sts/outbound/', '^test/', toolTest, anyNpm] },
    to: { path: npm('jose') },
    remedy: 'Signing and verifying live in mesh/mandate, mesh/identity and services/sts/outbound: call those.',
  }),
  ban({
    name: 'declared-packages-only',
    from: { pathNot: anyNpm },
    to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    remedy: 'The package is not in package.json: declare it at an exact version, or do without it.',
  }),
  ban({
    name: 'no-development-package-in-production',
    from: { path: '^(?:mesh|services|gen|cli)/', pathNot: testFile },
    to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only', 'type-import'], pathNot: npm('@types') },
    remedy:
      'Production code runs without devDependencies: move the package to dependencies, or the code to test or dev.',
  }),
  ban({
    name: 'test-packages-in-tests-only',
    from: { pathNot: [testFile, '^test/', '^[^/]+$', '^dev/test(?:/|\\.ts$)', anyNpm] },
    to: { path: testPackage },
    remedy: 'Packages for testing belong to tests: move this code into a *.test.ts file or under test/.',
  }),
  ban({
    name: 'process-is-not-imported',
    from: { path: '^(?:mesh|services|gen|cli|sdk)/' },
    to: { path: '^process$', dependencyTypes: ['core'] },
    remedy:
      'Name process plainly where it is allowed (main.ts, mesh/runtime): imported, the linter would miss its uses.',
  }),
  ban({
    name: 'no-test-code-in-production',
    from: { path: '^(?:mesh|services|gen|cli|sdk)/', pathNot: testFile },
    to: { path: ['^(?:test|dev|bench)/', testFile] },
    remedy: 'Code that ships never imports tests or tools: inject the clock, identifiers or fakes instead.',
  }),
];
