
Á
Ê
%
telemetry.sdk.name
opentelemetry

service.name

codex_exec
!
telemetry.sdk.version
0.31.0

env
test

	host.name
vm
 
telemetry.sdk.language
rust

service.version	
0.169.0r

codex_otel::metrics::clientQDEBUG*
flushing OTEL metricsYN_x:=Aêb$event otel/src/metrics/client.rs:324