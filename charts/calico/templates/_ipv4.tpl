{{/* An IPv4 address as a number. */}}
{{- define "calico.ipv4Number" -}}
{{- $octets := splitList "." . -}}
{{- add (mul (index $octets 0 | int64) 16777216) (mul (index $octets 1 | int64) 65536) (mul (index $octets 2 | int64) 256) (index $octets 3 | int64) -}}
{{- end }}

{{/* "true" when two IPv4 CIDRs have an address in common; arguments: a, b. */}}
{{- define "calico.overlap" -}}
{{- $a := splitList "/" .a }}{{ $b := splitList "/" .b -}}
{{- $length := min (index $a 1 | int64) (index $b 1 | int64) -}}
{{- $size := 1 -}}
{{- range until (int (sub 32 $length)) }}{{ $size = mul $size 2 }}{{ end -}}
{{- if eq (div (include "calico.ipv4Number" (index $a 0) | int64) $size) (div (include "calico.ipv4Number" (index $b 0) | int64) $size) }}true{{ end -}}
{{- end }}
