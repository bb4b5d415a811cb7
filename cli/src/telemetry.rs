//! Logs and traces of this process.
//!
//! A tracer is always installed, with or without a place to send spans to: the trace of a request has to go through the
//! outbox and NATS even where nobody collects it, because ids in logs and in `event_log` come from it.

use std::io::{self, IsTerminal};
use std::time::Duration;

use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::args::{LogFormat, Role};
use crate::failure::{Failure, Kind};

/// What a service logs unless RUST_LOG says otherwise: libraries only speak when something is wrong.
const SERVICE_LOGS: &str = "info,async_nats=warn,h2=warn,hyper=warn,opentelemetry=warn,poem=warn,sea_orm=warn,\
                            sea_orm_migration=warn,sqlx=warn,tonic=warn,tower=warn";
const FLUSH: Duration = Duration::from_secs(5);

/// The tracer of this process; stop it last.
#[derive(Debug)]
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

/// Starts logs, and for services traces.
pub(crate) fn start(role: Role, format: Option<LogFormat>) -> Result<Telemetry, Failure> {
    let Role::Service(name) = role else {
        let logs = tracing_subscriber::fmt::layer().with_writer(io::stderr).compact().with_filter(filter("warn")?);
        tracing_subscriber::registry().with(logs).init();
        return Ok(Telemetry(None));
    };
    let propagators: Vec<Box<dyn opentelemetry::propagation::TextMapPropagator + Send + Sync>> =
        vec![Box::new(TraceContextPropagator::new()), Box::new(BaggagePropagator::new())];
    opentelemetry::global::set_text_map_propagator(TextMapCompositePropagator::new(propagators));
    let provider = provider(name)?;
    opentelemetry::global::set_tracer_provider(provider.clone());
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("streamspace"));
    let text = format.map_or_else(|| io::stderr().is_terminal(), |format| format == LogFormat::Text);
    let logs = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let logs = match text {
        true => logs.with_target(false).boxed(),
        false => logs.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // A line says all that people need to know; programs also get the span that it was written in.
    let shown = filter_fn(move |metadata| !text || metadata.is_event());
    // Spans are made at `info` whatever is logged, or a quiet log would end the traces.
    let traces = traces.with_filter(EnvFilter::new(SERVICE_LOGS));
    tracing_subscriber::registry().with(logs.with_filter(filter(SERVICE_LOGS)?.and(shown))).with(traces).init();
    Ok(Telemetry(Some(provider)))
}

fn filter(default: &str) -> Result<EnvFilter, Failure> {
    let Some(wanted) = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty()) else {
        return Ok(EnvFilter::new(default));
    };
    EnvFilter::try_new(&wanted)
        .map_err(|e| Failure::because(Kind::Usage, &format!("RUST_LOG={wanted:?}"), &e).hint("RUST_LOG=info"))
}

fn provider(role: &str) -> Result<SdkTracerProvider, Failure> {
    // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are read by the builder; ours is the default behind them.
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(format!("streamspace-{role}"));
    }
    let builder = SdkTracerProvider::builder().with_resource(resource.build());
    let asked = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    if !asked.into_iter().any(|name| std::env::var(name).is_ok_and(|value| !value.is_empty())) {
        return Ok(builder.build());
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().build();
    let exporter = exporter.map_err(|e| {
        Failure::because(Kind::Usage, "OTEL_EXPORTER_OTLP_ENDPOINT", &e)
            .hint("an address such as http://localhost:4317")
    })?;
    Ok(builder.with_batch_exporter(exporter).build())
}

impl Telemetry {
    /// Sends what is still here, within bounds.
    pub(crate) async fn stop(self) {
        let Some(provider) = self.0 else { return };
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        if let Ok(Err(error)) = flushed {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}
