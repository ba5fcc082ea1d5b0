{{/* Which Secrets the release makes for itself: certificates, users of NATS. */}}
{{- define "calico.credentials" -}}
{{- $made := list -}}
{{- if eq .Values.certificates.mode "job" }}{{ $made = append $made "certificates" }}{{ end -}}
{{- if .Values.nats.enabled }}{{ $made = append $made "nats" }}{{ end -}}
{{- join "," $made }}
{{- end }}

{{/* What making them takes. Creating cannot be limited to names. */}}
{{- define "calico.credentialsRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    {{- if eq .Values.certificates.mode "job" }}
    - calico-ca
    - calico-typha-tls
    - calico-node-tls
    {{- end }}
    {{- if .Values.nats.enabled }}
    - calico-nats-tls
    - calico-nats-users
    {{- range list "felix" "bird" "ipam" "cni" "typha" "kube-controllers" }}
    - calico-nats-{{ . }}
    {{- end }}
    - calicoctl-nats
    {{- end }}
  verbs: [get, update]
{{- end }}
