//! A request as a span of the current trace, whose headers the receiver gets.

use reqwest::{Error, RequestBuilder, Response};

use crate::telemetry::traces;

/// Sends a request. If the current trace is sampled, the call has a span. Its attributes have no path and no query, which can
/// have secrets.
///
/// # Errors
/// Fails as [`RequestBuilder::send`] does.
pub(crate) async fn send_traced(request: RequestBuilder) -> Result<Response, Error> {
    let (client, request) = request.build_split();
    let mut request = request?;
    let span = traces::client(|| request.method().to_string());
    if span.is_recorded() {
        span.set("http.request.method", request.method().to_string());
        span.set("server.address", request.url().host_str().unwrap_or_default().to_owned());
        span.set("server.port", i64::from(request.url().port_or_known_default().unwrap_or_default()));
    }
    let call = async {
        request.headers_mut().extend(traces::headers());
        client.execute(request).await
    };
    let response = span.within(call).await;
    match &response {
        Ok(response) => {
            let status = response.status();
            span.set("http.response.status_code", i64::from(status.as_u16()));
            if status.is_client_error() || status.is_server_error() {
                span.fail(status.as_str());
            }
        }
        Err(error) => span.fail(if error.is_timeout() { "timeout" } else { "connection" }),
    }
    response
}
