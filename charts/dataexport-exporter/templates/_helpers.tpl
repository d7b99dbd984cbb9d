{{- define "dataexport.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "dataexport.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "dataexport.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else if hasPrefix .Release.Name (include "dataexport.name" .) -}}
{{- include "dataexport.name" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "dataexport.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "dataexport.selectorLabels" -}}
app.kubernetes.io/name: {{ include "dataexport.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "dataexport.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "dataexport.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "dataexport.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "dataexport.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "dataexport.secretName" -}}
{{- default (include "dataexport.fullname" .) .Values.secrets.existingSecret -}}
{{- end }}

{{- define "dataexport.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end }}

{{- define "dataexport.isSqlite" -}}
{{- if eq .Values.store.type "sqlite" }}true{{ end -}}
{{- end }}

{{- /* The number of replicas, or a refusal that says why. */ -}}
{{- define "dataexport.replicas" -}}
{{- if include "dataexport.isSqlite" . -}}
{{- $replicas := default 1 .Values.replicas | int -}}
{{- if gt $replicas 1 -}}
{{- fail (printf "replicas: %d exporters cannot share a SQLite store, because only one process at a time may open it; set replicas to 1, or store.type to postgresql" $replicas) -}}
{{- end -}}
{{- $replicas -}}
{{- else -}}
{{- if not .Values.store.postgresql.existingSecret -}}
{{- fail "store.postgresql.existingSecret: store.type is postgresql, so name the secret with the URL of the database" -}}
{{- end -}}
{{- default 2 .Values.replicas | int -}}
{{- end -}}
{{- end }}

{{- /* The pod of both the StatefulSet and the Deployment. */ -}}
{{- define "dataexport.pod" -}}
{{- $sqlite := include "dataexport.isSqlite" . -}}
metadata:
  annotations:
    checksum/config: {{ .Values.config | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "dataexport.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "dataexport.serviceAccountName" . }}
  automountServiceAccountToken: false
  # Kubernetes would otherwise add a variable for each service of the namespace.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  containers:
    - name: exporter
      image: {{ include "dataexport.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve]
      env:
        - name: DATAEXPORT_CONFIG
          value: /etc/dataexport/dataexport.toml
        {{- if $sqlite }}
        - name: DATAEXPORT_STORE_URL
          value: sqlite:////data/dataexport.db
        {{- else }}
        - name: DATAEXPORT_STORE_URL_FILE
          value: /etc/dataexport/store/url
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: webhook
          containerPort: 8080
        - name: metrics
          containerPort: 10047
      # Reading a large store takes a while; a started exporter answers within milliseconds.
      startupProbe:
        httpGet:
          path: /-/healthy
          port: metrics
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet:
          path: /-/healthy
          port: metrics
        periodSeconds: 15
        timeoutSeconds: 5
      readinessProbe:
        httpGet:
          path: /-/ready
          port: metrics
        periodSeconds: 5
        timeoutSeconds: 5
      {{- if .Values.preStopSeconds }}
      lifecycle:
        preStop:
          exec:
            command: [sleep, {{ .Values.preStopSeconds | quote }}]
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/dataexport/dataexport.toml
          subPath: dataexport.toml
          readOnly: true
        - name: secrets
          mountPath: /etc/dataexport/secrets
          readOnly: true
        {{- if $sqlite }}
        - name: data
          mountPath: /data
        {{- else }}
        - name: store
          mountPath: /etc/dataexport/store
          readOnly: true
        - name: tmp
          mountPath: /tmp
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "dataexport.fullname" . }}
    - name: secrets
      secret:
        secretName: {{ include "dataexport.secretName" . }}
        defaultMode: 0440
    {{- if not $sqlite }}
    - name: store
      secret:
        secretName: {{ .Values.store.postgresql.existingSecret }}
        defaultMode: 0440
        items:
          - key: {{ .Values.store.postgresql.key }}
            path: url
    - name: tmp
      emptyDir:
        medium: Memory
        sizeLimit: 16Mi
    {{- else if .Values.store.sqlite.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.store.sqlite.existingClaim }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if not $sqlite }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "dataexport.selectorLabels" . | nindent 10 }}
  {{- end }}
{{- end }}
