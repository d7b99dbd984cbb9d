// The alerts, recording rules and dashboards for those who run monitoring mixins.
//
// It imports the files that everybody else loads, so install the whole repository and not this folder alone:
// docs/how-to/prometheus.md#as-a-mixin.
{
  _config+:: {
    // Where the runbooks are; "/ExportOverdue.md" and so on is appended.
    runbookURL: 'https://github.com/dataexport/dataexport-exporter/blob/main/docs/runbooks',
    // The address of Grafana.
    grafanaURL: 'https://grafana.example',
    // Changes to single alerts by name, merged into each: { ExportRunSlow: { 'for': '1h', labels+: { severity: 'info' } } }.
    // A threshold is part of the expression: give a new one as `expr`.
    alerts: {},
  },

  local config = $._config,

  local adapt(text) = std.foldl(
    function(text, change) std.strReplace(text, change[0], change[1]),
    [
      ['https://github.com/dataexport/dataexport-exporter/blob/main/docs/runbooks', config.runbookURL],
      ['https://grafana.example', config.grafanaURL],
    ],
    text
  ),

  local groups = [
    group {
      rules: [
        if std.objectHas(rule, 'alert') then rule + std.get(config.alerts, rule.alert, {}) else rule
        for rule in group.rules
      ],
    }
    for group in std.parseYaml(adapt(importstr '../alerts/dataexport.rules.yaml')).groups
  ],

  // Each group has alerts and the recordings that they read, in the order in which they have to be evaluated, so
  // there is nothing for prometheusRules.
  prometheusAlerts+:: { groups+: groups },

  grafanaDashboards+:: {
    'dataexport-overview.json': import '../grafana/dashboards/dataexport-overview.json',
    'dataexport-export.json': import '../grafana/dashboards/dataexport-export.json',
    'dataexport-health.json': import '../grafana/dashboards/dataexport-health.json',
  },
}
