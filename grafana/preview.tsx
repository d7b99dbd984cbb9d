// Draws dashboards with Grafana's own panel components, over answers that were fetched before.
// Not Grafana: what it does around the panels is done here in a simple way, and the state timeline,
// which Grafana does not publish as a component, is drawn by hand with its colours and words.
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  createTheme,
  dataLinksOverrideProcessor,
  dateTime,
  type DataFrame,
  FieldType,
  getDisplayProcessor,
  getDisplayValueAlignmentFactors,
  getFieldDisplayName,
  getFieldDisplayValues,
  identityOverrideProcessor,
  Registry,
  standardTransformers,
  standardTransformersRegistry,
  ThemeContext,
  thresholdsOverrideProcessor,
  toDataFrame,
  transformDataFrame,
  valueMappingsOverrideProcessor,
} from "@grafana/data";
import { BarGauge, BigValue, GlobalStyles, PanelChrome, TimeSeries, VizLayout, VizLegend, VizRepeater } from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";
import { Component, type ReactNode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
// The font of Grafana, without which everything is wider.
import "@fontsource/inter/400.css";
import "@fontsource/inter/500.css";

const { board, answers, start, end, name, width: pageWidth, theme: mode, stackedBelow } = (window as any).preview;
const CELL = 38;
const GAP = 8;
const theme = createTheme({ colors: { mode } });
const timeRange = { from: dateTime(start * 1000), to: dateTime(end * 1000), raw: { from: dateTime(start * 1000), to: dateTime(end * 1000) } };
const zone = "utc";

standardTransformersRegistry.setInit(
  () =>
    [
      standardTransformers.mergeTransformer,
      standardTransformers.organizeFieldsTransformer,
      standardTransformers.renameByRegexTransformer,
    ].map((transformation) => ({
      id: transformation.id,
      name: transformation.name,
      aliasIds: [],
      transformation,
      editor: () => null,
    })) as any,
);

const CHART = {
  axisCenteredZero: false,
  axisColorMode: "text",
  axisPlacement: "auto",
  barAlignment: 0,
  barWidthFactor: 0.6,
  drawStyle: "line",
  gradientMode: "none",
  hideFrom: { legend: false, tooltip: false, viz: false },
  lineInterpolation: "linear",
  pointSize: 5,
  scaleDistribution: { type: "linear" },
  showPoints: "auto",
  spanNulls: false,
  stacking: { group: "A", mode: "none" },
  thresholdsStyle: { mode: "off" },
};

function registry(panel: any): any {
  const custom = new Set<string>(Object.keys({ ...CHART, ...panel.fieldConfig.defaults.custom }));
  for (const { properties } of panel.fieldConfig.overrides) {
    for (const { id } of properties) {
      if (id.startsWith("custom.")) {
        custom.add(id.slice("custom.".length));
      }
    }
  }
  const processes: Record<string, any> = {
    thresholds: thresholdsOverrideProcessor,
    mappings: valueMappingsOverrideProcessor,
    links: dataLinksOverrideProcessor,
  };
  const standard = ["unit", "min", "max", "decimals", "displayName", "color", "noValue", "links", "mappings", "thresholds"];
  const item = (id: string, path: string, isCustom: boolean) => ({
    id,
    path,
    name: id,
    isCustom,
    process: processes[id] ?? identityOverrideProcessor,
    shouldApply: () => true,
  });
  return new Registry(() => [
    ...standard.map((id) => item(id, id, false)),
    ...[...custom].map((id) => item(`custom.${id}`, id, true)),
  ] as any);
}

const legend = (spec: any, labels: Record<string, string>) =>
  (spec.legendFormat ?? "").replace(/\{\{(\w+)\}\}/g, (_: string, label: string) => labels[label] ?? "");
const number = (text: string) => Number(text.replace("Inf", "Infinity"));

// As Grafana's Prometheus data source makes frames of an answer.
function frames(panel: any): DataFrame[] {
  return answers[panel.id].flatMap(({ spec, step, series }: any) => {
    const points = (each: any) => each.values ?? [each.value];
    if (spec.format === "table") {
      const labels = [...new Set(series.flatMap((each: any) => Object.keys(each.metric)))].sort() as string[];
      return toDataFrame({
        refId: spec.refId,
        fields: [
          { name: "Time", type: FieldType.time, values: series.map((each: any) => each.value[0] * 1000) },
          ...labels.map((label) => ({
            name: label,
            type: FieldType.string,
            config: { filterable: true },
            values: series.map((each: any) => each.metric[label] ?? ""),
          })),
          { name: `Value #${spec.refId}`, type: FieldType.number, values: series.map((each: any) => number(each.value[1])) },
        ],
      });
    }
    if (spec.format === "heatmap") {
      const sorted = [...series].sort((one, other) => number(one.metric.le) - number(other.metric.le));
      const values = sorted.map((each) => number(points(each)[0][1]));
      return toDataFrame({
        refId: spec.refId,
        fields: [
          { name: "Time", type: FieldType.time, values: [end * 1000] },
          ...sorted.map((each, place) => ({
            name: each.metric.le,
            type: FieldType.number,
            values: [values[place] - (values[place - 1] ?? 0)],
          })),
        ],
      });
    }
    return series.map((each: any) =>
      toDataFrame({
        refId: spec.refId,
        fields: [
          { name: "Time", type: FieldType.time, config: { interval: step * 1000 }, values: points(each).map(([at]: any) => at * 1000) },
          {
            name: "Value",
            type: FieldType.number,
            labels: each.metric,
            config: { displayNameFromDS: legend(spec, each.metric) || undefined },
            values: points(each).map(([, value]: any) => number(value)),
          },
        ],
      }),
    );
  });
}

function overridden(panel: any, data: DataFrame[]): DataFrame[] {
  const { defaults, overrides } = panel.fieldConfig;
  const steps = (defaults.thresholds?.steps ?? []).map((step: any) => ({ ...step, value: step.value ?? -Infinity }));
  const custom = panel.type === "timeseries" ? { ...CHART, ...defaults.custom } : defaults.custom;
  const made = applyFieldOverrides({
    data,
    theme,
    timeZone: zone,
    replaceVariables: (text: string) => text,
    fieldConfig: { defaults: { ...defaults, custom, thresholds: { ...defaults.thresholds, steps } }, overrides },
    fieldConfigRegistry: registry(panel),
  });
  cacheFieldDisplayNames(made);
  return made;
}

// As wide as the longest name and at most so wide; what is longer loses its beginning, as in Grafana.
const WIDEST_LABEL = 310;
const ruler = document.createElement("canvas").getContext("2d")!;
// Grafana writes as many letters of a word as fit, from two on.
const LETTER = 7;
const AXIS = 24;
const HOUR = 3600;
const TICKS = [300, 600, 1800, HOUR, 2 * HOUR, 4 * HOUR, 12 * HOUR, ...[1, 2, 4, 7].map((days) => days * 24 * HOUR)];

function ticks(width: number): Array<{ at: number; text: string }> {
  const step = TICKS.find((each) => (each / (end - start)) * width > 60) ?? TICKS.at(-1)!;
  const first = Math.ceil(start / step) * step;
  return Array.from({ length: Math.floor((end - first) / step) + 1 }, (_, place) => {
    const at = first + place * step;
    const iso = new Date(at * 1000).toISOString();
    return { at, text: end - start > 24 * HOUR ? iso.slice(5, 10).replace("-", "/") : iso.slice(11, 16) };
  });
}

// Grafana makes no legend for a continuous scale, which is what it takes where no mode is given.
function Timeline({ panel, data, width, height }: any) {
  const { showLegend, displayMode, placement } = panel.options.legend;
  const hasLegend = showLegend && !(panel.fieldConfig.defaults.color?.mode ?? "continuous").startsWith("continuous");
  const words = new Map<string, string>();
  for (const { fields } of data) {
    const display = fields[1].display ?? getDisplayProcessor({ field: fields[1], theme });
    for (const value of fields[1].values) {
      const { text, color } = display(value);
      words.set(text, color!);
    }
  }
  const items = [...words].map(([label, color]) => ({ label, color, yAxis: 1 }));
  return (
    <VizLayout
      width={width}
      height={height}
      legend={hasLegend ? <VizLayout.Legend placement={placement}><VizLegend items={items} displayMode={displayMode} placement={placement} /></VizLayout.Legend> : null}
    >
      {(innerWidth: number, innerHeight: number) => <Rows panel={panel} data={data} width={innerWidth} height={innerHeight} />}
    </VizLayout>
  );
}

function Rows({ panel, data, width, height }: any) {
  ruler.font = "12px Inter, sans-serif";
  const longest = Math.max(...data.map((frame: DataFrame) => ruler.measureText(getFieldDisplayName(frame.fields[1], frame)).width));
  const labelled = Math.min(WIDEST_LABEL, longest + 16);
  const row = (height - AXIS) / data.length;
  const gap = row * (1 - panel.options.rowHeight);
  const scale = (at: number) => ((at / 1000 - start) / (end - start)) * (width - labelled);
  return (
    <div style={{ font: "12px Inter, sans-serif", color: theme.colors.text.primary }}>
      {data.map((frame: DataFrame) => {
        const [time, field] = frame.fields;
        const display = field.display ?? getDisplayProcessor({ field, theme });
        const step = time.config.interval ?? 60_000;
        const parts: Array<{ from: number; to: number; text: string; color: string }> = [];
        time.values.forEach((at: number, place: number) => {
          const { text, color } = display(field.values[place]);
          const last = parts.at(-1);
          if (last && last.text === text && at - last.to <= step) {
            last.to = at + step;
          } else {
            parts.push({ from: at, to: at + step, text, color: color! });
          }
        });
        return (
          <div key={getFieldDisplayName(field, frame)} style={{ display: "flex", height: row }}>
            <div style={{ width: labelled, display: "flex", justifyContent: "flex-end", paddingRight: 8, lineHeight: `${row}px`, whiteSpace: "nowrap", overflow: "hidden" }}>
              {getFieldDisplayName(field, frame)}
            </div>
            <div style={{ position: "relative", flex: 1 }}>
              {parts.map((part) => {
                const wide = Math.max(1, scale(part.to) - scale(part.from));
                return (
                  <div
                    key={part.from}
                    style={{ position: "absolute", left: scale(part.from), width: wide, top: gap / 2, bottom: gap / 2, background: part.color, overflow: "hidden", lineHeight: `${row - gap}px`, textIndent: 2, whiteSpace: "nowrap", color: theme.colors.getContrastText(part.color) }}
                  >
                    {wide >= 2 * LETTER ? part.text.slice(0, wide / LETTER) : ""}
                  </div>
                );
              })}
            </div>
          </div>
        );
      })}
      <div style={{ position: "relative", marginLeft: labelled, height: AXIS, lineHeight: `${AXIS}px` }}>
        {ticks(width - labelled).map(({ at, text }) => (
          <span key={at} style={{ position: "absolute", left: scale(at * 1000), transform: "translateX(-50%)" }}>{text}</span>
        ))}
      </div>
    </div>
  );
}

function Values({ panel, data, width, height, draw }: any) {
  const { fieldConfig, options } = panel;
  const getValues = () =>
    getFieldDisplayValues({ fieldConfig, reduceOptions: options.reduceOptions, data, theme, timeZone: zone, replaceVariables: (text: string) => text });
  return (
    <VizRepeater
      getValues={getValues}
      getAlignmentFactors={(values: any) => getDisplayValueAlignmentFactors(values)}
      renderValue={draw}
      source={data}
      width={width}
      height={height}
      autoGrid={true}
      renderCounter={1}
      orientation={options.orientation === "auto" ? "horizontal" : options.orientation}
      itemSpacing={4}
      minVizHeight={options.minVizHeight ?? 14}
      maxVizHeight={options.maxVizHeight}
    />
  );
}

function Content({ panel, data, width, height }: any) {
  const { options } = panel;
  // A single value writes what its mappings say about nothing; the other panels write a text of their own.
  const drawsNothing = panel.type === "stat" || panel.type === "bargauge";
  if (!drawsNothing && (data.length === 0 || data.every((frame: DataFrame) => frame.length === 0))) {
    return <div style={{ textAlign: "center", padding: `${height / 3}px 8px`, color: theme.colors.text.secondary }}>{panel.fieldConfig.defaults.noValue ?? "No data"}</div>;
  }
  switch (panel.type) {
    case "stat":
      return (
        <Values panel={panel} data={data} width={width} height={height}
          draw={({ value, width, height, count }: any) => (
            <BigValue value={count === 1 ? { ...value.display, title: "" } : value.display} width={width} height={height} theme={theme} colorMode={options.colorMode} graphMode={options.graphMode} justifyMode={options.justifyMode} textMode={options.textMode} />
          )}
        />
      );
    case "bargauge":
      return (
        <Values panel={panel} data={data} width={width} height={height}
          draw={({ value, width, height, alignmentFactors }: any) => (
            <BarGauge alignmentFactors={alignmentFactors} namePlacement={options.namePlacement} value={value.display} width={width} height={height} field={value.field} theme={theme} orientation={options.orientation} displayMode={options.displayMode} valueDisplayMode={options.valueMode} text={options.text} itemSpacing={4} lcdCellWidth={8} showUnfilled={true} />
          )}
        />
      );
    case "table":
      return <TableNG data={data[0]} width={width} height={height} cellHeight={options.cellHeight} initialSortBy={options.sortBy} fieldConfig={panel.fieldConfig} noHeader={false} timeRange={timeRange as any} structureRev={1} getActions={() => []} />;
    case "timeseries":
      return <TimeSeries frames={data} width={width} height={height} timeRange={timeRange as any} timeZone={zone} legend={options.legend} structureRev={1} options={options} replaceVariables={(text: string) => text} />;
    default:
      return <Timeline panel={panel} data={data} width={width} height={height} />;
  }
}

class Guard extends Component<{ children: ReactNode }, { error?: Error }> {
  state: { error?: Error } = {};
  static getDerivedStateFromError(error: Error) {
    return { error };
  }
  render() {
    return this.state.error ? <pre style={{ color: "#f66" }}>{String(this.state.error.stack).slice(0, 600)}</pre> : this.props.children;
  }
}

function Panel({ panel, width, height }: any) {
  const [data, setData] = useState<DataFrame[]>();
  useEffect(() => {
    transformDataFrame(panel.transformations ?? [], frames(panel)).subscribe((made) => setData(overridden(panel, made)));
  }, []);
  return (
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height}>
      {(innerWidth, innerHeight) => <Guard>{data && <Content panel={panel} data={data} width={innerWidth} height={innerHeight} />}</Guard>}
    </PanelChrome>
  );
}

function Board() {
  const stacked = pageWidth < stackedBelow;
  const cell = (pageWidth - 2 * GAP) / 24;
  let below = 0;
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ padding: GAP, font: "14px Inter, sans-serif", color: theme.colors.text.primary, height: 36, width: pageWidth - 2 * GAP, overflow: "hidden", whiteSpace: "nowrap", textOverflow: "ellipsis" }}>
        <b style={{ fontSize: 18 }}>{board.title}</b> · {name}{stacked ? "" : " · preview over made-up history, outside of Grafana; timelines and places drawn by hand"}
      </div>
      <div style={{ position: "relative", margin: GAP }}>
        {board.panels.map((panel: any) => {
          const { h } = panel.gridPos;
          const { x, y, w } = stacked ? { x: 0, y: below, w: 24 } : panel.gridPos;
          below += h;
          const width = w * cell - GAP;
          const height = h * CELL - GAP;
          return (
            <div key={panel.id} style={{ position: "absolute", left: x * cell, top: y * CELL, width, height, color: theme.colors.text.primary }}>
              {panel.type === "row" ? <b style={{ font: "500 16px Inter, sans-serif" }}>{panel.collapsed ? "›" : "⌄"} {panel.title}</b> : <Panel panel={panel} width={width} height={height} />}
            </div>
          );
        })}
      </div>
    </ThemeContext.Provider>
  );
}

document.body.style.cssText = `margin:0;width:${pageWidth}px;background:${theme.colors.background.canvas}`;
createRoot(document.getElementById("root")!).render(<Board />);
