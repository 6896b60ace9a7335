//! One request in, one response out.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Body;
use crate::rest;
use crate::server::ApiServer;
use crate::status::Status;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl ApiServer {
    /// Answers one request. Watch responses carry a streaming body; everything else is computed
    /// before this returns.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let limit = self.0.body_limit;
        match Limited::new(body, limit).collect().await {
            Ok(collected) => rest::handle(self, &parts, &collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                rest::respond::failure(&Status::too_large(limit))
            }
            Err(error) => rest::respond::failure(&Status::bad_request(error.to_string())),
        }
    }
}

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.handle(request).await) })
    }
}
