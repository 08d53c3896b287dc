// Writes the reference of all settings from the tables the services start with.
// It stands alone so that the page can never say something else than the code does.
import type { Setting, SettingTable } from './setting.ts';

interface Row {
  readonly name: string;
  readonly cells: string;
}

const presenceText: Readonly<Record<Setting<unknown>['presence'], string>> = {
  required: 'yes',
  published: 'in rc and stable',
  optional: 'no',
};

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function rowOf({ name, aliases, secret, presence, defaultText, form, sentence }: Setting<unknown>): Row {
  const names = [name, ...aliases].flatMap((each) => (secret ? [each, `${each}_FILE`] : [each]));
  const shown = defaultText === undefined || defaultText === '' ? '' : `\`${defaultText}\``;
  const cells = [names.map((each) => `\`${each}\``).join(' '), presenceText[presence], shown, form, sentence];
  return { name, cells: `| ${cells.map(cell).join(' | ')} |` };
}

function rowsOf(table: SettingTable): readonly Row[] {
  return Object.values(table).flatMap((group) => Object.values(group).map(rowOf));
}

function section(title: string, rows: readonly Row[]): string {
  const head = '| Variable | Required | Default | Value | Meaning |\n| --- | --- | --- | --- | --- |';
  const lines = rows.toSorted((left, right) => (left.name < right.name ? -1 : 1)).map(({ cells }) => cells);
  return [`## ${title}`, '', head, ...lines, ''].join('\n');
}

/**
 * Markdown with one section of what all services share, row for row, and one for each service with the rest. Keys of
 * the argument are the services' names.
 */
export function renderSettingsReference(tables: Readonly<Record<string, SettingTable>>): string {
  const all = Object.entries(tables).map(([name, table]) => ({ name, rows: rowsOf(table) }));
  const [first, ...others] = all;
  const isEverywhere = ({ cells }: Row): boolean => others.every(({ rows }) => rows.some((row) => row.cells === cells));
  const everywhere = others.length === 0 ? [] : (first?.rows.filter(isEverywhere) ?? []);
  const known = new Set(everywhere.map(({ cells }) => cells));
  const sections = all.map(({ name, rows }) =>
    section(
      name,
      rows.filter(({ cells }) => !known.has(cells)),
    ),
  );
  return (everywhere.length === 0 ? sections : [section('All services', everywhere), ...sections]).join('\n');
}
