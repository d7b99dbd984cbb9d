// Pins the custom resources that the chart creates; scripts/install-tools copies their definitions, and builds nothing.
module github.com/dataexport/dataexport-exporter/tools/crds

go 1.26

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0 // indirect
	sigs.k8s.io/gateway-api v1.4.0 // indirect
)
