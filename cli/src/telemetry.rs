//! Logs and traces of this process.
//!
//! A tracer is always installed, even if spans are not exported: the trace of a request travels through the
//! outbox and NATS, and the ids in logs and in `event_log` come from it.
//!
//! What is recorded is decided once, before all layers ([`recorded`]), and not by each layer: when a library
//! asks whether logging is enabled (`log::log_enabled!`, as sqlx does for every statement) and each layer
//! refuses for itself, tracing-subscriber applies that answer to the thread's next event as well, and a log
//! line or a span is lost.

mod fields;
mod outage;
mod settings;

use std::io::{self, IsTerminal};
use std::time::Duration;

use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{LogFormat, Role};
use crate::failure::{Failure, Kind};
use fields::Fields;
use outage::OutageReporter;
use settings::{Export, Settings};

/// The default of RUST_LOG for services, and their spans: libraries log warnings only.
const SERVICE_LOGS: &str = "info,async_nats=warn,h2=warn,hyper=warn,opentelemetry=warn,poem=warn,sea_orm=warn,\
                            sea_orm_migration=warn,sqlx=warn,tonic=warn,tower=warn";
const FLUSH: Duration = Duration::from_secs(5);

/// The tracer of this process; stop it last.
#[derive(Debug)]
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

/// Sets up logs, and for services also traces.
pub(crate) fn start(role: Role, format: Option<LogFormat>) -> Result<Telemetry, Failure> {
    let Role::Service(name) = role else {
        let logs = tracing_subscriber::fmt::layer().with_writer(io::stderr).compact();
        tracing_subscriber::registry().with(recorded(wanted("warn")?)?).with(logs).init();
        return Ok(Telemetry(None));
    };
    let propagators: Vec<Box<dyn opentelemetry::propagation::TextMapPropagator + Send + Sync>> =
        vec![Box::new(TraceContextPropagator::new()), Box::new(BaggagePropagator::new())];
    opentelemetry::global::set_text_map_propagator(TextMapCompositePropagator::new(propagators));
    let settings = standard_settings()?;
    let without_effect = settings.without_effect.join(", ");
    let provider = provider(name, settings)?;
    opentelemetry::global::set_tracer_provider(provider.clone());
    // Spans carry only their own fields: code locations, threads and idle time cost more than everything else.
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("streamspace"));
    let traces = traces.with_location(false).with_threads(false).with_tracked_inactivity(false);
    let text = format.map_or_else(|| io::stderr().is_terminal(), |format| format == LogFormat::Text);
    let logs = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // A text line contains all that people need; JSON lines also carry the span for programs.
    let logs = match text {
        true => logs.with_target(false).with_filter(filter_fn(|metadata| metadata.is_event())).boxed(),
        false => logs.json().flatten_event(true).with_span_list(false).fmt_fields(Fields).boxed(),
    };
    tracing_subscriber::registry().with(recorded(wanted(SERVICE_LOGS)?)?).with(logs).with(traces).init();
    if !without_effect.is_empty() {
        tracing::warn!(variables = without_effect, "these variables have no effect: this program sends traces only");
    }
    Ok(Telemetry(Some(provider)))
}

/// The events that RUST_LOG selects.
fn wanted(default: &str) -> Result<Targets, Failure> {
    let levels = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    targets(levels.as_deref().unwrap_or(default))
}

fn targets(text: &str) -> Result<Targets, Failure> {
    let read = text.parse::<Targets>();
    read.map_err(|e| Failure::because(Kind::Usage, &format!("RUST_LOG={text:?}"), &e).hint("RUST_LOG=info,sqlx=debug"))
}

/// Records the selected events, and spans at `info` regardless, because a quiet log must not interrupt traces.
fn recorded(events: Targets) -> Result<FilterFn<impl Fn(&Metadata<'_>) -> bool>, Failure> {
    let spans = targets(SERVICE_LOGS)?;
    let most = [&events, &spans].into_iter().filter_map(most).max().unwrap_or(LevelFilter::OFF);
    let recorded = filter_fn(move |metadata| {
        let of = if metadata.is_span() { &spans } else { &events };
        of.would_enable(metadata.target(), metadata.level())
    });
    Ok(recorded.with_max_level_hint(most))
}

/// The most verbose level of any target.
fn most(targets: &Targets) -> Option<LevelFilter> {
    targets.iter().map(|(_, level)| level).chain(targets.default_level()).max()
}

/// The OpenTelemetry variables, or all mistakes in them.
fn standard_settings() -> Result<Settings, Failure> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    settings::read(|name| std::env::var(name).ok(), names).map_err(|mistakes| {
        Failure::usage(mistakes.join("; ")).hint("correct the variables named here, or set OTEL_SDK_DISABLED=true")
    })
}

fn provider(role: &str, settings: Settings) -> Result<SdkTracerProvider, Failure> {
    // OTEL_RESOURCE_ATTRIBUTES and the sampler are read by the SDK's builders
    let name = settings.service_name.unwrap_or_else(|| format!("streamspace-{role}"));
    let resource = Resource::builder().with_service_name(name).build();
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let Some(export) = settings.export else { return Ok(builder.build()) };
    let endpoint = export.endpoint.clone();
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint.clone());
    let exporter = if endpoint.starts_with("https://") { exporter.with_tls_config(tls(export)) } else { exporter };
    let exporter = exporter.build().map_err(|e| {
        Failure::because(Kind::Usage, &format!("traces cannot be sent to {endpoint} (OTEL_EXPORTER_OTLP_ENDPOINT)"), &e)
    })?;
    Ok(builder.with_batch_exporter(OutageReporter::new(exporter, endpoint)).build())
}

/// Certificates for an `https` collector: the given ones, or those of the system.
fn tls(export: Export) -> ClientTlsConfig {
    let config = match export.certificate {
        Some(certificates) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificates)),
        None => ClientTlsConfig::new().with_enabled_roots(),
    };
    match export.client {
        Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
        None => config,
    }
}

impl Telemetry {
    /// Sends the remaining spans, for a limited time.
    pub(crate) async fn stop(self) {
        let Some(provider) = self.0 else { return };
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Registry;

    use super::*;

    #[derive(Clone, Default)]
    pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("sound").clone()).expect("text")
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("sound").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log output of `doing`.
    fn written(doing: impl FnOnce()) -> String {
        let lines = Lines::default();
        let into = lines.clone();
        let logs = tracing_subscriber::fmt::layer().with_writer(move || into.clone()).without_time();
        let logs = logs.with_filter(filter_fn(|metadata| metadata.is_event()));
        let recorded = recorded(targets(SERVICE_LOGS).expect("ours")).expect("ours");
        let subscriber = Registry::default().with(recorded).with(logs).with(tracing_opentelemetry::layer());
        tracing::subscriber::with_default(subscriber, doing);
        lines.text()
    }

    #[test]
    fn no_line_is_lost_where_a_library_asks_whether_it_may_log() {
        tracing_log::LogTracer::init().expect("the first");
        let told = written(|| {
            for line in 0..3 {
                assert!(!log::log_enabled!(target: "sqlx::query", log::Level::Debug));
                tracing::info!(line, "told");
            }
        });
        assert_eq!(told.lines().count(), 3, "{told}");
    }

    #[test]
    fn a_quiet_log_makes_spans_all_the_same() {
        let recorded = recorded(targets("error").expect("a level")).expect("ours");
        let subscriber = Registry::default().with(recorded);
        tracing::subscriber::with_default(subscriber, || {
            assert!(!tracing::info_span!("made").is_disabled());
            assert!(tracing::debug_span!("not made").is_disabled());
            assert!(!tracing::event_enabled!(tracing::Level::WARN));
        });
    }
}
