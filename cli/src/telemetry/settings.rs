//! The standard OpenTelemetry variables for traces. Each is honoured or refused at start with the reason;
//! ignored ones are named in the log. Header values are secrets and never logged.

use std::str::FromStr;

use poem::http::{HeaderName, HeaderValue, Uri};

/// Default endpoint if `OTEL_TRACES_EXPORTER=otlp` is set without one.
const DEFAULT_ENDPOINT: &str = "http://localhost:4317";
/// Numeric variables that the exporter and the SDK read themselves. They silently ignore invalid values, so
/// these are checked here.
const COUNTS: [&str; 10] = [
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_MAX_CONCURRENT_EXPORTS",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
];
const OTHERS: [&str; 18] = [
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_METRICS_EXPORTER",
    "OTEL_LOGS_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];

/// How traces are recorded and sent.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Settings {
    /// The service name, if one was given.
    pub(super) service_name: Option<String>,
    /// The collector; `None` only records spans, for the ids in logs and messages.
    pub(super) export: Option<Export>,
    /// Variables that are set and have no effect.
    pub(super) without_effect: Vec<String>,
}

/// A collector.
#[derive(Debug, PartialEq)]
pub(super) struct Export {
    /// Address with scheme.
    pub(super) endpoint: String,
    /// PEM certificates to trust instead of the system's.
    pub(super) certificate: Option<String>,
    /// PEM certificate and key of this client.
    pub(super) client: Option<(String, String)>,
}

/// The variables of an environment, and the mistakes found.
struct Reader<F> {
    environment: F,
    mistakes: Vec<String>,
}

/// Reads the variables; returns all mistakes, one sentence each.
pub(super) fn read(
    environment: impl Fn(&str) -> Option<String>,
    names: impl Iterator<Item = String>,
) -> Result<Settings, Vec<String>> {
    let mut reader = Reader { environment, mistakes: Vec::new() };
    let disabled = reader.boolean("OTEL_SDK_DISABLED");
    reader.propagators();
    reader.sampler();
    COUNTS.iter().for_each(|name| reader.count(name));
    let service_name = reader.service_name();
    let wanted = reader.exporter();
    let export = if disabled { None } else { reader.export(wanted) };
    let without_effect = names.filter(|name| reader.is_ignored(name)).collect();
    if reader.mistakes.is_empty() {
        Ok(Settings { service_name, export, without_effect })
    } else {
        Err(reader.mistakes)
    }
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// Empty variables count as unset, as the specification says.
    fn get(&self, name: &str) -> Option<String> {
        (self.environment)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The variable for traces, or the one for all signals; its name and value.
    fn signal(&self, what: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.into_iter().find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    fn refuse(&mut self, name: &str, value: &str, rule: &str) {
        self.mistakes.push(format!("{name}={value:?}: {rule}"));
    }

    fn boolean(&mut self, name: &str) -> bool {
        let value = self.get(name).unwrap_or_default();
        match value.to_ascii_lowercase().as_str() {
            "true" => return true,
            "" | "false" => {}
            _ => self.refuse(name, &value, "must be true or false"),
        }
        false
    }

    fn count(&mut self, name: &str) {
        let Some(value) = self.get(name) else { return };
        if value.parse::<u32>().is_err() {
            self.refuse(name, &value, "must be a whole number; times are in milliseconds");
        }
    }

    /// The parts of StreamSpace pass `traceparent` on, so the propagators cannot be changed.
    fn propagators(&mut self) {
        let Some(value) = self.get("OTEL_PROPAGATORS") else { return };
        let names: Vec<&str> = value.split(',').map(str::trim).collect();
        let known = names.iter().all(|name| matches!(*name, "tracecontext" | "baggage"));
        if !known || !names.contains(&"tracecontext") {
            let rule = "only tracecontext and baggage are supported; leave it out, or write tracecontext,baggage";
            self.refuse("OTEL_PROPAGATORS", &value, rule);
        }
    }

    fn sampler(&mut self) {
        let Some(value) = self.get("OTEL_TRACES_SAMPLER") else { return };
        match value.as_str() {
            "always_on" | "always_off" | "parentbased_always_on" | "parentbased_always_off" => {}
            "traceidratio" | "parentbased_traceidratio" => {
                let Some(ratio) = self.get("OTEL_TRACES_SAMPLER_ARG") else { return };
                if !ratio.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio)) {
                    self.refuse("OTEL_TRACES_SAMPLER_ARG", &ratio, "must be a number from 0 to 1, such as 0.1");
                }
            }
            _ => {
                let rule = "must be always_on, always_off or traceidratio, optionally with the prefix parentbased_";
                self.refuse("OTEL_TRACES_SAMPLER", &value, rule);
            }
        }
    }

    /// `OTEL_SERVICE_NAME`, else `service.name` of the attributes, as the specification says.
    fn service_name(&mut self) -> Option<String> {
        let attributes = self.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let (mut named, mut wrong) = (None, None);
        for pair in attributes.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((key, value)) if key.trim() == "service.name" => named = Some(value.trim().to_owned()),
                Some((key, _)) if !key.trim().is_empty() => {}
                _ => wrong = Some(pair.to_owned()),
            }
        }
        if let Some(pair) = wrong {
            self.refuse("OTEL_RESOURCE_ATTRIBUTES", &pair, "write name=value, separated by commas");
        }
        self.get("OTEL_SERVICE_NAME").or(named)
    }

    /// Whether to send traces: yes, no, or only if there is an endpoint.
    fn exporter(&mut self) -> Option<bool> {
        let value = self.get("OTEL_TRACES_EXPORTER")?;
        match value.as_str() {
            "otlp" => Some(true),
            "none" => Some(false),
            _ => {
                self.refuse("OTEL_TRACES_EXPORTER", &value, "must be otlp or none");
                None
            }
        }
    }

    fn export(&mut self, wanted: Option<bool>) -> Option<Export> {
        let (name, endpoint) = match (wanted, self.signal("ENDPOINT")) {
            (Some(false), _) | (None, None) => return None,
            (Some(true), None) => ("OTEL_TRACES_EXPORTER".to_owned(), DEFAULT_ENDPOINT.to_owned()),
            (_, Some(given)) => given,
        };
        if let Some((name, protocol)) = self.signal("PROTOCOL").filter(|(_, protocol)| protocol != "grpc") {
            let rule = "only grpc is supported; leave it out, and use the collector's gRPC address (port 4317)";
            self.refuse(&name, &protocol, rule);
        }
        if let Some((name, value)) =
            self.signal("COMPRESSION").filter(|(_, value)| !["gzip", "none"].contains(&value.as_str()))
        {
            self.refuse(&name, &value, "must be gzip or none");
        }
        self.headers();
        let endpoint = self.endpoint(&name, endpoint);
        let certificate = self.file("CERTIFICATE");
        let client = match (self.file("CLIENT_CERTIFICATE"), self.file("CLIENT_KEY")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                let both =
                    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY must be set together";
                self.mistakes.push(both.to_owned());
                None
            }
        };
        Some(Export { endpoint, certificate, client })
    }

    /// An endpoint with its scheme; without one it is https, unless `OTEL_EXPORTER_OTLP_INSECURE` says otherwise.
    fn endpoint(&mut self, name: &str, given: String) -> String {
        let insecure = self.signal("INSECURE").map(|(name, _)| name).is_some_and(|name| self.boolean(&name));
        let scheme = if insecure { "http" } else { "https" };
        let endpoint = if given.contains("://") { given } else { format!("{scheme}://{given}") };
        let read = Uri::from_str(&endpoint).ok();
        let fits = read.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
        if !fits {
            self.refuse(name, &endpoint, "must be an address such as http://localhost:4317 or https://collector:4317");
        }
        endpoint
    }

    fn headers(&mut self) {
        let Some((name, value)) = self.signal("HEADERS") else { return };
        for (i, pair) in value.split(',').map(str::trim).filter(|pair| !pair.is_empty()).enumerate() {
            let fits = pair.split_once('=').is_some_and(|(key, value)| {
                HeaderName::from_str(key.trim()).is_ok() && HeaderValue::from_str(value.trim()).is_ok()
            });
            if !fits {
                let rule = "write name=value, percent-encoded, separated by commas";
                self.mistakes.push(format!("{name}: header {} is invalid; {rule}", i + 1));
            }
        }
    }

    fn file(&mut self, what: &str) -> Option<String> {
        let (name, path) = self.signal(what)?;
        match std::fs::read_to_string(&path) {
            Ok(text) if text.contains("-----BEGIN ") => Some(text),
            Ok(_) => {
                self.refuse(&name, &path, "the file contains no PEM");
                None
            }
            Err(error) => {
                self.refuse(&name, &path, &error.to_string());
                None
            }
        }
    }

    /// Whether a variable is one of OpenTelemetry's, is set, and has no effect.
    fn is_ignored(&self, name: &str) -> bool {
        let Some(value) = name.strip_prefix("OTEL_").and_then(|_| self.get(name)) else { return false };
        let general = name.replace("OTLP_TRACES_", "OTLP_");
        let known = COUNTS.contains(&name) || OTHERS.contains(&name) || OTHERS.contains(&general.as_str());
        let elsewhere = matches!(name, "OTEL_METRICS_EXPORTER" | "OTEL_LOGS_EXPORTER") && value != "none";
        !known || elsewhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let find = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        read(find, given.iter().map(|(name, _)| (*name).to_owned()))
    }

    fn endpoint(given: &[(&str, &str)]) -> Option<String> {
        of(given).expect("sound").export.map(|export| export.endpoint)
    }

    #[test]
    fn traces_go_where_the_variables_say_and_nowhere_when_they_say_so() {
        const ADDRESS: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317");
        assert_eq!(endpoint(&[]), None);
        assert_eq!(endpoint(&[ADDRESS]).as_deref(), Some("http://all:4317"));
        assert_eq!(endpoint(&[("OTEL_TRACES_EXPORTER", "otlp")]).as_deref(), Some(DEFAULT_ENDPOINT));
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(endpoint(&[ADDRESS, off]), None, "{off:?}");
        }
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces:4317");
        assert_eq!(endpoint(&[ADDRESS, traces]).as_deref(), Some("https://traces:4317"));
        let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
        assert_eq!(endpoint(&[bare]).as_deref(), Some("https://collector:4317"));
        assert_eq!(
            endpoint(&[bare, ("OTEL_EXPORTER_OTLP_INSECURE", "true")]).as_deref(),
            Some("http://collector:4317")
        );
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_its_name_and_all_of_it_at_once() {
        let wrong = [
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "unix:///tmp/x"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/no/such/key"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "perhaps"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_PROPAGATORS", "b3"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team"),
            ("OTEL_SDK_DISABLED", "1"),
            ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ];
        let mistakes = of(&wrong).expect_err("all wrong").join("\n");
        for (name, _) in wrong {
            assert!(mistakes.contains(&format!("{name}=")), "{name} is not named: {mistakes}");
        }
        let sampler = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")];
        assert!(of(&sampler).is_err_and(|all| all[0].contains("OTEL_TRACES_SAMPLER_ARG=\"2\"")));
    }

    #[test]
    fn a_wrong_header_is_told_by_its_place_and_never_by_its_value() {
        let given = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,secret-token")];
        let mistakes = of(&given).expect_err("wrong").join("\n");
        assert!(mistakes.contains("header 2") && !mistakes.contains("secret-token"), "{mistakes}");
    }

    #[test]
    fn the_service_has_the_name_that_was_given_in_either_place() {
        let name = |given: &[(&str, &str)]| of(given).expect("sound").service_name;
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=named");
        assert_eq!(name(&[]), None);
        assert_eq!(name(&[attributes]).as_deref(), Some("named"));
        assert_eq!(name(&[attributes, ("OTEL_SERVICE_NAME", "first")]).as_deref(), Some("first"));
        assert_eq!(name(&[attributes, ("OTEL_SERVICE_NAME", "")]).as_deref(), Some("named"));
    }

    #[test]
    fn what_is_set_and_changes_nothing_is_known() {
        let given = [
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_LOGS_EXPORTER", "none"),
            ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://x"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://x"),
            ("PATH", "/bin"),
        ];
        let ignored = of(&given).expect("sound").without_effect;
        assert_eq!(
            ignored,
            ["OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_ZIPKIN_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"]
        );
    }
}
