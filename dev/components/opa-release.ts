/** The pinned OPA release: which version, which file per platform, and the SHA-256 that a download must have. */

/**
 * One version for every way of getting OPA, so that policies meet the same evaluator everywhere: the official release
 * has known checksums and its module installs with `go install`.
 */
export const opaVersion = '1.18.2';

export interface OpaRelease {
  url: string;
  sha256: string;
}

/** Static builds: they need no C library, so one file fits every distribution. */
const assets: Record<string, { file: string; sha256: string }> = {
  'linux-x64': {
    file: 'opa_linux_amd64_static',
    sha256: '9903e5125ac281104f2c4b7371d10cc3b74a98933743fcbfc174f9bf0ab20de8',
  },
  'linux-arm64': {
    file: 'opa_linux_arm64_static',
    sha256: '9cad2e67d375aded483823349173fe100d9701d37635908edadeb0298603c58c',
  },
  'darwin-x64': {
    file: 'opa_darwin_amd64',
    sha256: 'e7090da5f3791c71b74e6f0a5703b37f32ab3eb5916abc227f8da9f6773d44be',
  },
  'darwin-arm64': {
    file: 'opa_darwin_arm64_static',
    sha256: '3ffa2af6a3b9ccff5d171d061d27990db5ad8cc5c10214c7eeeabc0f29ca11cf',
  },
};

/** The official release for a platform, when there is one. */
export function opaRelease(platform: string, architecture: string): OpaRelease | undefined {
  const asset = assets[`${platform}-${architecture}`];
  if (asset === undefined) return undefined;
  return {
    url: `https://github.com/open-policy-agent/opa/releases/download/v${opaVersion}/${asset.file}`,
    sha256: asset.sha256,
  };
}
