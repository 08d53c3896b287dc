// The import rules, for anyone who runs dependency-cruiser by hand; `npm run check` adds that no file was missed.
import { cruiseOptions } from './dev/house/cruise-options.ts';
import { importRules } from './dev/house/import-rules.ts';

export default { forbidden: [...importRules], options: cruiseOptions };
