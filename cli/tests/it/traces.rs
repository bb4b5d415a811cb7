//! One trip is one trace, from the HTTP request to the projection, across processes: a real OTLP receiver gets it whole.

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::{Request, Response, Status};

use crate::dev::Dev;

/// How long spans may take to be exported.
const PATIENCE: Duration = Duration::from_secs(40);

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

/// A receiver on a free port, in a thread of its own, and what it receives.
fn receiver() -> anyhow::Result<(String, Receiver<Span>)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (send, receive) = channel();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    std::thread::spawn(move || {
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Receives(send)));
        let _ = runtime.block_on(server.serve(address)); // ends with the test's process
    });
    Ok((format!("http://{address}"), receive))
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
    let deadline = Instant::now() + PATIENCE;
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
