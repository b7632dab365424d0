//! Connections that know whether their client takes anything, and that can be cut from elsewhere.
//!
//! An answer that nobody reads is not asked for its next part, so it can't say that it is over. Whoever notices cuts the
//! connection: the stream of bytes itself, where writing waits for too long, or the answer, where another one on the same
//! connection goes on.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tower::Layer;

/// A hand on a connection. Requests have it among their extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_cut: AtomicBool,
    written: AtomicU64,
    waker: AtomicWaker,
}

impl Connection {
    /// Ends it at once, with all answers on it.
    pub(crate) fn cut(&self) {
        self.0.is_cut.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// How many bytes the client has taken so far.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// An error once it is cut; who asks is woken then.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        self.0.waker.register(context.waker());
        match self.0.is_cut.load(Ordering::Acquire) {
            true => Err(too_slow()),
            false => Ok(()),
        }
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client took nothing for too long")
}

/// Accepts connections that end when their client takes nothing for so long.
#[derive(Clone, Debug)]
pub(crate) struct Patient<A> {
    acceptor: A,
    stall: Duration,
}

impl<A> Patient<A> {
    /// Those of another acceptor.
    pub(crate) fn new(acceptor: A, stall: Duration) -> Patient<A> {
        Patient { acceptor, stall }
    }
}

impl<A, I, S> Accept<I, S> for Patient<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = PatientStream<A::Stream>;
    type Service = AddExtension<A::Service, Connection>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (accepted, stall) = (self.acceptor.accept(stream, service), self.stall);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            let connection = Connection::default();
            let service = Extension(connection.clone()).layer(service);
            Ok((PatientStream { stream, connection, stall, waiting: None }, service))
        })
    }
}

/// The bytes of a connection.
#[derive(Debug)]
pub(crate) struct PatientStream<S> {
    stream: S,
    connection: Connection,
    stall: Duration,
    /// For how long yet writing may wait, while it does.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> PatientStream<S> {
    /// Writes, and ends the connection if that has to wait for too long.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.connection.check(context)?;
        let polled = write(Pin::new(&mut self.stream), context);
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let stall = self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(too_slow()))
    }

    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.connection.0.written.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.poll(context, |stream, context| stream.poll_write(context, bytes));
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.poll(context, |stream, context| stream.poll_write_vectored(context, slices));
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A connection that is cut must be able to end.
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
