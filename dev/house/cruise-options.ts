// How dependency-cruiser reads our sources: with the compiler's parser, so that imports of types are seen as well.
// It stands alone because the check and a run by hand must read alike.
import type { ICruiseOptions } from 'dependency-cruiser';

export const cruiseOptions = {
  // Without this, `import type` leaves no trace and half of the rules would have nothing to look at.
  tsPreCompilationDeps: true,
  parser: 'tsc',
  detectProcessBuiltinModuleCalls: true,
  // Installed packages are named in the graph and not read.
  doNotFollow: { path: '(?:^|/)node_modules/' },
  enhancedResolveOptions: {
    exportsFields: ['exports'],
    // The conditions Node itself would pick, then types for packages that carry nothing else.
    conditionNames: ['node', 'import', 'types', 'default'],
    extensions: ['.ts', '.mjs', '.js', '.json', '.d.ts'],
  },
} satisfies ICruiseOptions;
