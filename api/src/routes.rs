//! The routes: paths, their methods, and their parameters.
//!
//! The table is derived from the description that the API document is generated from. It answers what a router
//! alone cannot: the name of a route before it is called, the methods of a path that was requested with another
//! one, and whether a query parameter is known.

use poem::http::Method;
use poem_openapi::OpenApi;
use poem_openapi::registry::{MetaOperation, MetaParamIn, MetaSchemaRef};

use crate::login;

/// Prefix of the resources.
pub(crate) const PREFIX: &str = "/api/v1";

/// Paths besides the resources.
const OUTSIDE: [&str; 12] = [
    "/",
    "/assets/{name}",
    "/favicon.svg",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/asyncapi.json",
    "/docs",
    "/docs/",
    "/problems",
    "/problems/{name}",
];

/// A path and its operations.
#[derive(Debug)]
pub(crate) struct Route {
    /// The path with placeholders, such as `/api/v1/sessions/{id}`.
    pub(crate) path: String,
    /// Its segments.
    segments: Vec<String>,
    operations: Vec<Operation>,
}

/// A method of a path.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// Its id in the API document, if it is a resource's.
    pub(crate) id: Option<&'static str>,
    /// Schemas of its parameters, by name.
    parameters: Vec<(String, MetaSchemaRef)>,
    /// Its query parameters; `None` permits any.
    pub(crate) query: Option<Vec<String>>,
    /// Headers that it reads.
    pub(crate) headers: Vec<String>,
    /// Its `operationId`, if it is deprecated.
    deprecated: Option<&'static str>,
    /// Whether it has a body.
    pub(crate) body: bool,
    /// Whether its answer is a stream.
    pub(crate) streams: bool,
}

impl Route {
    fn new(path: String, operations: Vec<Operation>) -> Self {
        let segments = path.split('/').map(str::to_owned).collect();
        Self { path, segments, operations }
    }

    fn operation(&self, method: &Method) -> Option<&Operation> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.operations.iter().find(|operation| operation.method == *method)
    }

    pub(crate) fn has(&self, method: &Method) -> bool {
        self.operation(method).is_some()
    }

    /// The methods, for the header `Allow`.
    pub(crate) fn allow(&self) -> String {
        self.operations.iter().map(|operation| operation.method.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The query parameters of a method; `None` permits any.
    pub(crate) fn query(&self, method: &Method) -> Option<&[String]> {
        self.operation(method)?.query.as_deref()
    }

    /// The headers that a method reads.
    pub(crate) fn headers(&self, method: &Method) -> &[String] {
        self.operation(method).map_or(&[], |operation| &operation.headers)
    }

    /// The `operationId` of a method, if it is deprecated.
    pub(crate) fn deprecated(&self, method: &Method) -> Option<&'static str> {
        self.operation(method)?.deprecated
    }

    /// The schema of a parameter, which is the same for all operations of a path.
    pub(crate) fn parameter(&self, name: &str) -> Option<&MetaSchemaRef> {
        let mut all = self.operations.iter().flat_map(|operation| &operation.parameters);
        all.find(|(known, _)| known == name).map(|(_, schema)| schema)
    }

    /// The name of the nth placeholder.
    pub(crate) fn placeholder(&self, n: usize) -> Option<&str> {
        self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).nth(n)
    }

    /// The still encoded segment of a path that corresponds to a placeholder.
    pub(crate) fn value<'a>(&self, placeholder: &str, path: &'a str) -> Option<&'a str> {
        let is_it = |segment: &str| segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) == Some(placeholder);
        self.path.split('/').zip(path.split('/')).find(|(own, _)| is_it(own)).map(|(_, asked)| asked)
    }

    /// Whether it matches a path.
    fn matches(&self, asked: &str) -> bool {
        let fits = |(own, asked): (&String, &str)| own == asked || own.starts_with('{') && !asked.is_empty();
        self.segments.iter().zip(asked.split('/')).all(fits)
    }

    /// Number of placeholders.
    fn placeholders(&self) -> usize {
        self.segments.iter().filter(|segment| segment.starts_with('{')).count()
    }
}

/// All routes, those with fewer placeholders first.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    /// The routes of an API, and those besides the resources.
    pub(crate) fn of<A: OpenApi>() -> Self {
        let outside = |method| Operation {
            method,
            id: None,
            parameters: Vec::new(),
            query: None,
            headers: Vec::new(),
            deprecated: None,
            body: false,
            streams: false,
        };
        let login = [Method::GET, Method::POST, Method::DELETE].map(outside).into();
        let login = Route::new(login::PATH.to_owned(), login);
        let outside = OUTSIDE.iter().map(|path| Route::new((*path).to_owned(), vec![outside(Method::GET)]));
        let inside = A::meta().into_iter().flat_map(|api| api.paths).map(|path| {
            let operations = path.operations.into_iter().map(operation).collect();
            Route::new(format!("{PREFIX}{}", path.path), operations)
        });
        let mut routes: Vec<Route> = Vec::new();
        for route in inside.chain(outside).chain([login]) {
            match routes.iter_mut().find(|known| known.path == route.path) {
                Some(known) => known.operations.extend(route.operations),
                None => routes.push(route),
            }
        }
        routes.sort_by_key(Route::placeholders);
        Self(routes)
    }

    /// All operations with their paths.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&Route, &Operation)> {
        self.0.iter().flat_map(|route| route.operations.iter().map(move |operation| (route, operation)))
    }

    /// The route of a path; a literal segment takes precedence over a placeholder.
    pub(crate) fn find(&self, path: &str) -> Option<&Route> {
        let segments = path.split('/').count();
        self.0.iter().find(|route| route.segments.len() == segments && route.matches(path))
    }
}

fn operation(meta: MetaOperation) -> Operation {
    let parameters = meta.params.iter().map(|param| (param.name.clone(), param.schema.clone())).collect();
    let of = |kind: MetaParamIn| meta.params.iter().filter(move |param| param.in_type == kind);
    let query = of(MetaParamIn::Query).map(|param| param.name.clone()).collect();
    let headers = of(MetaParamIn::Header).map(|param| param.name.clone()).collect();
    let mut contents = meta.responses.responses.iter().flat_map(|response| &response.content);
    let streams = contents.any(|content| content.content_type == "text/event-stream")
        || meta.responses.responses.iter().any(|response| response.status == Some(101));
    Operation {
        method: meta.method,
        id: meta.operation_id,
        parameters,
        query: Some(query),
        headers,
        deprecated: meta.operation_id.filter(|_| meta.deprecated),
        body: meta.request.is_some(),
        streams,
    }
}
