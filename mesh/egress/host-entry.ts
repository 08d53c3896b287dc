// Lists of hosts as operators write them: what an entry means and which hosts it names. It stands alone because every list
// (allowed, denied, loopback, private) is read and compared in this one way.

/** A host name, with a port when only that port is meant. */
export interface HostEntry {
  readonly host: string;
  readonly port: number | undefined;
}

/** True when the list names this host, for every port or for this one. */
export function namesHost(
  entries: readonly HostEntry[],
  host: { readonly host: string; readonly port: number },
): boolean {
  return entries.some((entry) => entry.host === host.host && (entry.port === undefined || entry.port === host.port));
}

const entryForm = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/@\s]+)|([0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*))(?::(\d{1,5}))?$/;

/** Reads `host`, `host:port`, `[v6]` or `[v6]:port`; undefined when it is none of them. */
export function parseHostEntry(text: string): HostEntry | undefined {
  const [, inBrackets, name, address, portText] = entryForm.exec(text.trim().toLowerCase()) ?? [];
  // As hosts of URLs are compared, or an entry that ends in a dot would name nothing, and deny nothing.
  const host = bareHost(inBrackets ?? name ?? address ?? '');
  const port = portText === undefined ? undefined : Number(portText);
  if (host === '' || (port !== undefined && (port < 1 || port > 65_535))) return undefined;
  return { host, port };
}

/** Every entry of a list; what is none was refused with the configuration. */
export function parseHostEntries(texts: readonly string[]): readonly HostEntry[] {
  return texts.flatMap((text) => parseHostEntry(text) ?? []);
}

/** The host and port of an http or https URL, as lists name them. */
export function hostOf(url: URL): { readonly host: string; readonly port: number } {
  const standardPort = url.protocol === 'https:' ? 443 : 80;
  return { host: bareHost(url.hostname), port: url.port === '' ? standardPort : Number(url.port) };
}

/** The host of a URL as lists name it: lower-case, without brackets, without the dot that ends an absolute name. */
export function bareHost(hostname: string): string {
  const lower = hostname.toLowerCase();
  const unbracketed = lower.startsWith('[') ? lower.slice(1, -1) : lower;
  return unbracketed.endsWith('.') ? unbracketed.slice(0, -1) : unbracketed;
}
