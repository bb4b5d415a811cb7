//! The life of a request is one trace, from HTTP to the projection, across processes, received by a real OTLP
//! receiver. And the handling of traces that cannot or must not be sent.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use tempfile::tempdir;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::dev::Dev;
use crate::program::{program, said, until};

/// How long the export of spans may take.
const EXPORT_LIMIT: Duration = Duration::from_secs(40);

struct Receives(Sender<Span>);

#[tonic::async_trait]
impl TraceService for Receives {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        let spans = resources.into_iter().flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
        spans.for_each(|span| {
            let _ = self.0.send(span); // nobody listens any more once the test is over
        });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A receiver on a free port, in a thread of its own, and its spans.
fn receiver() -> anyhow::Result<(String, Receiver<Span>)> {
    let (address, receive) = receiver_with(Server::builder())?;
    Ok((format!("http://{address}"), receive))
}

fn receiver_with(mut server: Server) -> anyhow::Result<(SocketAddr, Receiver<Span>)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (send, receive) = channel();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    std::thread::spawn(move || {
        let server = server.add_service(TraceServiceServer::new(Receives(send)));
        let _ = runtime.block_on(server.serve(address)); // ends with the test's process
    });
    Ok((address, receive))
}

#[test]
fn a_trip_is_one_trace_from_the_request_to_the_projection() -> anyhow::Result<()> {
    let (endpoint, spans) = receiver()?;
    let mut dev = Dev::new()?;
    dev.start_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "200")])?;
    dev.ask(&["session", "create", "scratchpad", "--wait"])?;
    let parts =
        ["POST /api/v1/sessions", "publish", "session.create", "driver.ensure", "report session.status", "project"];
    let mut all: Vec<Span> = Vec::new();
    let deadline = Instant::now() + EXPORT_LIMIT;
    loop {
        all.extend(spans.recv_timeout(Duration::from_millis(200)));
        let root = all.iter().find(|span| span.name.contains(parts[0]));
        let trace: Vec<&Span> = all.iter().filter(|s| root.is_some_and(|root| s.trace_id == root.trace_id)).collect();
        let missing: Vec<_> =
            parts.iter().filter(|part| !trace.iter().any(|span| span.name.contains(**part))).collect();
        if missing.is_empty() {
            return connected(&trace);
        }
        let names = || all.iter().map(|span| span.name.clone()).collect::<Vec<_>>();
        ensure!(Instant::now() < deadline, "{missing:?} missing in the request's trace; all spans: {:?}", names());
    }
}

/// Every span but the first has its parent in the trace.
fn connected(trace: &[&Span]) -> anyhow::Result<()> {
    let projection = trace.iter().find(|span| span.name.contains("project")).context("a projection")?;
    let mut at = *projection;
    for _ in 0..20 {
        let Some(parent) = trace.iter().find(|span| span.span_id == at.parent_span_id) else { break };
        at = parent;
    }
    ensure!(at.name.contains("POST"), "the projection's ancestors end at {:?}", at.name);
    Ok(())
}

/// A self-signed certificate for `localhost` with its key, for this test only, valid for a hundred years.
const CERTIFICATE: &str = include_str!("tls/localhost.pem");
const KEY: &str = include_str!("tls/localhost.key");

#[test]
fn a_collector_behind_tls_gets_traces_when_its_certificate_is_trusted() -> anyhow::Result<()> {
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(CERTIFICATE, KEY));
    // The crypto provider is chosen once per process; the program under test does so itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (address, spans) = receiver_with(Server::builder().tls_config(tls)?)?;
    let mut dev = Dev::new()?;
    let trusted = dev.folder.path().join("ca.pem");
    std::fs::write(&trusted, CERTIFICATE)?;
    let endpoint = format!("https://localhost:{}", address.port());
    dev.start_with(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &trusted.to_string_lossy()),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
    ])?;
    dev.ask(&["session", "list"])?;
    spans.recv_timeout(EXPORT_LIMIT).context("a span over TLS")?;
    Ok(())
}

#[test]
fn lost_traces_are_told_once_and_not_for_each_batch() -> anyhow::Result<()> {
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?; // closed again at once
    let mut dev = Dev::new()?;
    let endpoint = format!("http://{nobody}");
    let delay = ("OTEL_BSP_SCHEDULE_DELAY", "50");
    dev.start_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), delay, ("OTEL_METRICS_EXPORTER", "otlp")])?;
    let log = || Ok::<_, anyhow::Error>(std::fs::read_to_string(dev.folder.path().join("err"))?);
    let lines = || Ok::<_, anyhow::Error>(log()?.lines().filter(|line| line.contains("traces are lost")).count());
    until("it is told", || {
        dev.ask(&["session", "list"])?;
        Ok(lines()? > 0)
    })?;
    for _ in 0..10 {
        dev.ask(&["session", "list"])?; // many a batch
    }
    let log = log()?;
    // One line per process: dev, and its controller, whose lines are passed on.
    ensure!(lines()? <= 2 && log.contains(&endpoint), "{log}");
    ensure!(log.contains("OTEL_METRICS_EXPORTER") && !log.contains("ExportError"), "{log}");
    Ok(())
}

#[test]
fn what_cannot_be_done_with_traces_is_refused_at_the_start_by_the_names_of_the_variables() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let mut dev = program(folder.path(), &["dev"]);
    dev.env("OTEL_TRACES_EXPORTER", "zipkin").env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    dev.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318").env("OTEL_TRACES_SAMPLER", "xray");
    let parts =
        ["OTEL_TRACES_EXPORTER=\"zipkin\"", "OTEL_EXPORTER_OTLP_PROTOCOL=\"http/protobuf\"", "OTEL_TRACES_SAMPLER"];
    said(dev.output()?)?.refuses(2, &parts)
}
