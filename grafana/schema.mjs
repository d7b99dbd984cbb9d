// Writes the dashboards as TypeScript literals, so that the compiler holds them against Grafana's types.
// usage: node schema.mjs FOLDER DASHBOARD...
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const [folder, ...paths] = process.argv.slice(2);
const raw = "@grafana/schema/dist/esm/raw/composable";
const kinds = {
  bargauge: "BarGauge",
  stat: "Stat",
  statetimeline: "StateTimeline",
  table: "Table",
  timeseries: "TimeSeries",
};
const id = (kind) => kind.replace("-", "");
const lines = [
  'import type { Dashboard } from "@grafana/schema";',
  ...Object.entries(kinds).map(
    ([kind, name]) => `import type * as ${kind} from "${raw}/${kind}/panelcfg/x/${name}PanelCfg_types.gen";`,
  ),
  // A string enumeration as the strings that stand for it in JSON, all the way down.
  "type Json<T> = 0 extends 1 & T ? any : unknown extends T ? unknown : T extends string ? `${T}`",
  "  : T extends readonly (infer U)[] ? Json<U>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;",
];
for (const path of paths) {
  const board = JSON.parse(readFileSync(path, "utf-8"));
  const name = basename(path, ".json").replaceAll("-", "_");
  lines.push(`const ${name}: Json<Dashboard> = ${JSON.stringify(board, null, 1)};`);
  for (const panel of board.panels.filter(({ type }) => type !== "row")) {
    const kind = id(panel.type);
    const at = `${name}_${panel.id}`;
    const { defaults, overrides } = panel.fieldConfig;
    lines.push(`const ${at}_options: Json<Partial<${kind}.Options>> = ${JSON.stringify(panel.options)};`);
    if (defaults.custom && kind !== "table") {
      lines.push(`const ${at}_custom: Json<Partial<${kind}.FieldConfig>> = ${JSON.stringify(defaults.custom)};`);
    }
    for (const [place, { properties }] of overrides.entries()) {
      for (const { id: property, value } of properties) {
        if (property.startsWith("custom.") && kind !== "table") {
          const field = property.slice("custom.".length);
          const type = `Json<${kind}.FieldConfig["${field}"]>`;
          lines.push(`const ${at}_${place}_${field}: ${type} = ${JSON.stringify(value)};`);
        }
      }
    }
  }
}
writeFileSync(join(folder, "check.mts"), lines.join("\n") + "\n");
