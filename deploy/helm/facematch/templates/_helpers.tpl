{{/* The names. */}}
{{- define "facematch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "facematch.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains (include "facematch.name" .) .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "facematch.name" .) | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "facematch.serviceAccount" -}}
{{- default (include "facematch.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "facematch.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/* What selects the pods of a release; it can't change later. */}}
{{- define "facematch.selector" -}}
app.kubernetes.io/name: {{ include "facematch.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{- define "facematch.labels" -}}
{{ include "facematch.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The settings file. Its secrets are files that volumes mount. */}}
{{- define "facematch.settings" -}}
{{- $own := dict
  "listen" (printf "%s:50051" .Values.listenHost)
  "oz-url" .Values.oz.url
  "drain-delay" (printf "%ds" (int .Values.drain.delaySeconds))
  "drain-timeout" (printf "%ds" (int .Values.drain.timeoutSeconds))
  "log" .Values.log.format
  "log-level" .Values.log.level
-}}
{{- if eq .Values.store.kind "postgres" }}
{{- $_ := set $own "store" .Values.store.postgres.url }}
{{- $_ := set $own "store-password-file" "/run/secrets/facematch/store/password" }}
{{- else }}
{{- $_ := set $own "store" "sqlite:/var/lib/facematch/journal.db" }}
{{- end }}
{{- if .Values.oz.login }}
{{- $_ := set $own "oz-login" .Values.oz.login }}
{{- $_ := set $own "oz-password-file" "/run/secrets/facematch/oz/password" }}
{{- else }}
{{- $_ := set $own "oz-token-file" "/run/secrets/facematch/oz/token" }}
{{- end }}
{{- if .Values.oz.caConfigMap }}
{{- $_ := set $own "oz-ca-file" "/etc/facematch/oz-ca/ca.crt" }}
{{- end }}
{{- if .Values.tls.existingSecret }}
{{- $_ := set $own "tls-cert-file" "/run/secrets/facematch/tls/tls.crt" }}
{{- $_ := set $own "tls-key-file" "/run/secrets/facematch/tls/tls.key" }}
{{- if ne .Values.tls.clientAuth "off" }}
{{- $_ := set $own "tls-client-ca-file" "/run/secrets/facematch/tls/ca.crt" }}
{{- $_ := set $own "tls-client-auth" .Values.tls.clientAuth }}
{{- end }}
{{- end }}
{{- if .Values.callers.existingSecret }}
{{- $_ := set $own "callers-file" "/run/secrets/facematch/callers/callers.toml" }}
{{- end }}
{{- if .Values.allowPlaintext }}
{{- $_ := set $own "allow-plaintext" true }}
{{- end }}
{{- if .Values.allowAnonymous }}
{{- $_ := set $own "allow-anonymous" true }}
{{- end }}
{{- if .Values.web.enabled }}
{{- $_ := set $own "web-listen" (printf "%s:50053" .Values.listenHost) }}
{{- with .Values.web.origins }}
{{- $_ := set $own "web-origins" (join "," .) }}
{{- end }}
{{- if .Values.web.readOnly }}
{{- $_ := set $own "web-read-only" true }}
{{- end }}
{{- end }}
{{- /* Set by hand, they would open a port that no Service and no policy knows. */}}
{{- $web := list "web-listen" "web-origins" "web-read-only" }}
{{- range $name, $value := .Values.settings }}
{{- if or (hasKey $own $name) (has $name $web) }}
{{- fail (printf "settings.%s: the chart has a value of its own for this setting" $name) }}
{{- end }}
{{- /* Values of YAML are floating-point numbers to Helm: 1000000 must not become 1e+06. */}}
{{- $_ := set $own $name (kindIs "float64" $value | ternary (printf "%.0f" $value) $value) }}
{{- end }}
{{- range $name := keys $own | sortAlpha }}
{{ $name }} = {{ get $own $name | toJson }}
{{- end }}
{{- end }}

{{/* The pod, of the Deployment and of the StatefulSet. */}}
{{- define "facematch.pod" -}}
metadata:
  annotations:
    # A changed settings file needs a restart here; files of secrets are read again by themselves.
    checksum/settings: {{ include "facematch.settings" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "facematch.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "facematch.serviceAccount" . }}
  automountServiceAccountToken: false
  # Else a Service called facematch would set variables such as FACEMATCH_PORT.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .Values.drain.delaySeconds .Values.drain.timeoutSeconds 15 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: facematch
      image: {{ include "facematch.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/facematch/settings/facematch.toml]
      env:
        # Also for "facematch health" within the container.
        - name: FACEMATCH_ADMIN_LISTEN
          value: {{ printf "%s:50052" .Values.listenHost | quote }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: grpc
          containerPort: 50051
        - name: admin
          containerPort: 50052
        {{- if .Values.web.enabled }}
        - name: web
          containerPort: 50053
        {{- end }}
      # The first start on the store of an earlier version may take ten minutes.
      startupProbe:
        httpGet: {path: /readyz, port: admin}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 300
      # It depends on the process alone: a restart repairs neither a database nor Oz.
      livenessProbe:
        httpGet: {path: /livez, port: admin}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - {name: settings, mountPath: /etc/facematch/settings, readOnly: true}
        - {name: oz, mountPath: /run/secrets/facematch/oz, readOnly: true}
        {{- if eq .Values.store.kind "postgres" }}
        - {name: store, mountPath: /run/secrets/facematch/store, readOnly: true}
        {{- else }}
        - {name: journal, mountPath: /var/lib/facematch}
        {{- end }}
        {{- if .Values.oz.caConfigMap }}
        - {name: oz-ca, mountPath: /etc/facematch/oz-ca, readOnly: true}
        {{- end }}
        {{- if .Values.tls.existingSecret }}
        - {name: tls, mountPath: /run/secrets/facematch/tls, readOnly: true}
        {{- end }}
        {{- if .Values.callers.existingSecret }}
        - {name: callers, mountPath: /run/secrets/facematch/callers, readOnly: true}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  # Whole folders, never a subPath: replaced Secrets reach the folders only.
  volumes:
    - name: settings
      configMap:
        name: {{ include "facematch.fullname" . }}
    - name: oz
      secret:
        secretName: {{ .Values.oz.existingSecret }}
        defaultMode: 0440
        items:
          {{- if .Values.oz.login }}
          - {key: {{ .Values.oz.passwordKey | quote }}, path: password}
          {{- else }}
          - {key: {{ .Values.oz.tokenKey | quote }}, path: token}
          {{- end }}
    {{- if eq .Values.store.kind "postgres" }}
    - name: store
      secret:
        secretName: {{ .Values.store.postgres.existingSecret }}
        defaultMode: 0440
        items:
          - {key: {{ .Values.store.postgres.passwordKey | quote }}, path: password}
    {{- end }}
    {{- if .Values.oz.caConfigMap }}
    - name: oz-ca
      configMap:
        name: {{ .Values.oz.caConfigMap }}
    {{- end }}
    {{- if .Values.tls.existingSecret }}
    - name: tls
      secret:
        secretName: {{ .Values.tls.existingSecret }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.callers.existingSecret }}
    - name: callers
      secret:
        secretName: {{ .Values.callers.existingSecret }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if and .Values.topologySpread.enabled (eq .Values.store.kind "postgres") }}
  topologySpreadConstraints:
    {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "facematch.selector" $ | nindent 10 }}
    {{- end }}
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
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end }}
