//! Who blocks a thread that others need: a look at all of them every now and then.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// This is what a thread is doing: the parity of `turns` says whether it runs a handler, `name` which one.
#[derive(Default)]
struct Post {
    turns: AtomicU64,
    name: AtomicU32,
}

/// These are all threads that ran a handler, and the names of all handlers.
#[derive(Default)]
struct Watched {
    posts: Vec<Weak<Post>>,
    names: Vec<Arc<str>>,
}

/// This is a handler's name, as the watchdog knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(u32);

/// A name that the watchdog can report; the same text gives the same name.
pub(crate) fn name(text: &str) -> Name {
    let mut watched = watched();
    let known = watched.names.iter().position(|name| **name == *text);
    let at = known.unwrap_or_else(|| {
        watched.names.push(text.into());
        watched.names.len() - 1
    });
    Name(u32::try_from(at).expect("there are fewer names than 2^32"))
}

/// Runs a piece of a handler under the eyes of the watchdog. It costs two writes to memory, and no look at a clock.
pub(crate) fn watch<T>(name: Name, run: impl FnOnce() -> T) -> T {
    MINE.with(|post| {
        post.name.store(name.0, Ordering::Relaxed);
        // Only this thread writes, so no addition has to be atomic.
        let turns = post.turns.load(Ordering::Relaxed);
        post.turns.store(turns + 1, Ordering::Release);
        let result = run();
        post.turns.store(turns + 2, Ordering::Release);
        result
    })
}

thread_local! {
    static MINE: Arc<Post> = {
        let post = Arc::default();
        watched().posts.push(Arc::downgrade(&post));
        STARTED.get_or_init(start);
        post
    };
}

static WATCHED: Mutex<Watched> = Mutex::new(Watched { posts: Vec::new(), names: Vec::new() });
static STARTED: OnceLock<()> = OnceLock::new();

fn watched() -> std::sync::MutexGuard<'static, Watched> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start() {
    let watchdog = std::thread::Builder::new().name("fastws-watchdog".into()).spawn(|| {
        let mut seen = Vec::new();
        loop {
            std::thread::sleep(INTERVAL);
            seen = look(&seen);
        }
    });
    if let Err(error) = watchdog {
        tracing::warn!(%error, "handlers that block their thread will not be reported");
    }
}

/// Reports every thread that is still where it was when it was `seen` last, and returns what it sees now.
fn look(seen: &[(usize, u64, bool)]) -> Vec<(usize, u64, bool)> {
    let mut watched = watched();
    watched.posts.retain(|post| post.strong_count() > 0);
    let now = watched.posts.iter().filter_map(Weak::upgrade).filter_map(|post| {
        let turns = post.turns.load(Ordering::Acquire);
        (turns % 2 == 1).then(|| (Arc::as_ptr(&post).addr(), turns, post.name.load(Ordering::Relaxed)))
    });
    now.map(|(thread, turns, name)| {
        let before = seen.iter().find(|(other, then, _)| (*other, *then) == (thread, turns));
        if let Some((_, _, false)) = before {
            let operation = watched.names.get(name as usize).map_or("?", |name| name);
            tracing::warn!(
                operation,
                "a handler blocks its thread, and with it every connection there; let it await, or use \
                 `tokio::task::spawn_blocking`"
            );
        }
        (thread, turns, before.is_some())
    })
    .collect()
}

/// How often the watchdog looks. A handler that it sees twice is reported, once.
const INTERVAL: Duration = Duration::from_millis(250);
